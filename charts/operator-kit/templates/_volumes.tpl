{{/* The operator's own mounts and volumes, with those of the values. */}}

{{- define "operator-kit.volumeMounts" -}}
- name: tmp
  mountPath: /tmp
{{- if .Values.metrics.certSecret }}
- name: metrics-certificate
  mountPath: {{ include "operator-kit.certificateFolder" . }}
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "operator-kit.volumes" -}}
- name: tmp
  emptyDir: {}
{{- with .Values.metrics.certSecret }}
- name: metrics-certificate
  secret:
    secretName: {{ . }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "operator-kit.certificateFolder" -}}
/var/run/operator-kit/metrics-certificate
{{- end }}
