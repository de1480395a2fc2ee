{{/* What the pods of `helm test` share. They are no pods of the operator: no selector of it may match them. */}}

{{- define "operator-kit.testMetadata" -}}
namespace: {{ include "operator-kit.namespace" . }}
labels:
  app.kubernetes.io/name: {{ include "operator-kit.name" . }}
  app.kubernetes.io/instance: {{ .Release.Name }}
  app.kubernetes.io/component: test
  {{- include "operator-kit.commonLabels" . | nindent 2 }}
annotations:
  helm.sh/hook: test
  {{- /* Not hook-succeeded: Helm 3 deletes such a pod first and asks for its log afterwards, so `helm test --logs` would fail. */}}
  helm.sh/hook-delete-policy: before-hook-creation
{{- end }}

{{- define "operator-kit.testPod" -}}
restartPolicy: Never
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
