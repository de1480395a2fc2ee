{{/* The command line from the values, for `operator-kit run` and `operator-kit check` alike: the flags, then the targets. */}}
{{- define "operator-kit.args" -}}
{{- range .Values.watchNamespaces }}
- --namespace={{ . }}
{{- end }}
{{- if .Values.leaderElection.enabled }}
- --leader-elect
- --leader-election-id={{ include "operator-kit.leaderElectionID" . }}
{{- with .Values.leaderElection.namespace }}
- --leader-election-namespace={{ . }}
{{- end }}
- --leader-election-lease-duration={{ .Values.leaderElection.leaseDuration }}
- --leader-election-renew-deadline={{ .Values.leaderElection.renewDeadline }}
- --leader-election-retry-period={{ .Values.leaderElection.retryPeriod }}
- --on-lost-lease={{ .Values.leaderElection.onLostLease }}
{{- else }}
- --no-leader-elect
{{- end }}
- --health-probe-bind-address=:{{ .Values.healthProbe.port }}
{{- if .Values.metrics.enabled }}
- --metrics-bind-address=:{{ .Values.metrics.port }}
{{- if .Values.metrics.secure }}
- --metrics-secure
{{- if .Values.metrics.auth }}
- --metrics-auth
{{- end }}
{{- if .Values.metrics.certSecret }}
- --metrics-cert-file={{ include "operator-kit.certificateFolder" . }}/tls.crt
- --metrics-key-file={{ include "operator-kit.certificateFolder" . }}/tls.key
{{- end }}
{{- end }}
{{- else }}
- --metrics-bind-address=0
{{- end }}
- --shutdown-timeout={{ .Values.shutdownTimeout }}
{{- with .Values.workers }}
- --workers={{ . }}
{{- end }}
{{- with .Values.resync }}
- --resync={{ . }}
{{- end }}
{{- with .Values.kubeApi.qps }}
- --kube-api-qps={{ . }}
{{- end }}
{{- with .Values.kubeApi.burst }}
- --kube-api-burst={{ . }}
{{- end }}
- --log-level={{ .Values.log.level }}
- --log-format={{ .Values.log.format }}
{{- range .Values.extraArgs }}
- {{ . | quote }}
{{- end }}
{{- range .Values.targets }}
- {{ . | quote }}
{{- end }}
{{- end }}

{{- define "operator-kit.env" -}}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: POD_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}
