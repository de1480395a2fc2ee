# The base image: operator-kit without an operator. Your image is FROM it and a COPY of your code to /operator; see docs/deploy.md.
#   docker build --tag operator-kit:0.1.0 .
ARG PYTHON=3.13

FROM python:${PYTHON}-slim-bookworm AS builder
# What of operator-kit is installed besides: what a setting of the chart or a model may need in a cluster.
ARG EXTRAS=fast,models,tls
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY operator_kit operator_kit
COPY charts charts
RUN python -m pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .
# A virtual environment can be copied as one directory. pip stays in it, for what your operator needs beyond.
RUN python -m venv /opt/operator-kit \
    && wheel=$(find /wheels -name '*.whl') \
    && /opt/operator-kit/bin/python -m pip install --no-cache-dir "${wheel}[${EXTRAS}]"

FROM python:${PYTHON}-slim-bookworm
RUN groupadd --gid 65532 nonroot \
    && useradd --uid 65532 --gid 65532 --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin nonroot
COPY --from=builder /opt/operator-kit /opt/operator-kit
# Nothing is written at run time but below /tmp, so the root file system may be read-only. One heap for all threads, of which only one
# runs Python at a time: with a heap for each, a cache that changes leaves holes in all of them.
ENV PATH=/opt/operator-kit/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MALLOC_ARENA_MAX=1
WORKDIR /operator
ARG PYTHON
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="operator-kit" \
      org.opencontainers.image.description="Base image of Kubernetes operators written in Python with operator-kit" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="docker.io/library/python:${PYTHON}-slim-bookworm"
# Metrics, probes.
EXPOSE 8080 8081
# By number, so that runAsNonRoot can be checked.
USER 65532:65532
# As a list, so that operator-kit itself is process 1 and hears SIGTERM.
ENTRYPOINT ["operator-kit"]
CMD ["run", "/operator"]
