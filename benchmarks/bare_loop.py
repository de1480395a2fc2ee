"""The floor an operator is measured against: the least Python that does the same two writes for each Widget.

A watch whose lines go through `json.loads`, a `queue.Queue`, and threads that send a server-side apply and a status patch over
the official client's own connection pool. No cache, no comparison, no retry, no backoff, no copy: what is lost is lost.

    python -m benchmarks.bare_loop KUBECONFIG WORKERS
"""

from __future__ import annotations

import json
import queue
import sys
import threading
from typing import Any

from kubernetes.client import ApiClient
from kubernetes.config import new_client_from_config

WIDGETS = "/apis/bench.example.com/v1"


def writer(client: ApiClient, work: queue.Queue[dict[str, Any]]) -> None:
    pool, host = client.rest_client.pool_manager, client.configuration.host
    headers = {"Content-Type": "application/merge-patch+json", "Accept": "application/json", **client.default_headers}
    headers |= {"Authorization": token} if (token := client.configuration.get_api_key_with_prefix("authorization")) else {}
    while True:
        widget = work.get()
        meta, value = widget["metadata"], widget["spec"]["value"]
        owner = {"apiVersion": "bench.example.com/v1", "kind": "Widget", "name": meta["name"], "uid": meta["uid"]}
        child = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": meta["name"],
                "namespace": meta["namespace"],
                "ownerReferences": [owner | {"controller": True, "blockOwnerDeletion": True}],
            },
            "data": {"value": value},
        }
        where = f"/namespaces/{meta['namespace']}"
        for path, body, content_type in (
            (
                f"/api/v1{where}/configmaps/{meta['name']}?fieldManager=bare&force=true",
                child,
                "application/apply-patch+yaml",
            ),
            (
                f"{WIDGETS}{where}/widgets/{meta['name']}/status?fieldManager=bare",
                {"status": {"value": value}},
                "application/merge-patch+json",
            ),
        ):
            answer = pool.request(
                "PATCH", host + path, body=json.dumps(body), headers=headers | {"Content-Type": content_type}, timeout=30
            )
            if answer.status >= 300:
                print(answer.status, answer.data, file=sys.stderr)
            else:
                json.loads(answer.data)


def main(kubeconfig: str, workers: int) -> None:
    client = new_client_from_config(kubeconfig)
    work: queue.Queue[dict[str, Any]] = queue.Queue()
    for _ in range(workers):
        threading.Thread(target=writer, args=(client, work), daemon=True).start()
    url = f"{client.configuration.host}{WIDGETS}/widgets?watch=true"
    with client.rest_client.pool_manager.request("GET", url, preload_content=False, timeout=None) as stream:
        rest, done = b"", {}
        for piece in stream.stream(65536):
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                widget = json.loads(line)["object"]
                uid, generation = widget["metadata"]["uid"], widget["metadata"]["generation"]
                if done.get(uid) != generation:  # its own status patch comes back, too
                    done[uid] = generation
                    work.put(widget)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
