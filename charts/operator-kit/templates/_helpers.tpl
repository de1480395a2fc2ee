{{/* Names. At most 50 characters and without dots, which a release may have, so that with what is appended a Service can be named so. */}}

{{- define "operator-kit.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "operator-kit.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | replace "." "-" | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | replace "." "-" | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "operator-kit.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride }}
{{- end }}

{{- define "operator-kit.leaderElectionNamespace" -}}
{{- default (include "operator-kit.namespace" .) .Values.leaderElection.namespace }}
{{- end }}

{{- define "operator-kit.leaderElectionID" -}}
{{- default (include "operator-kit.fullname" .) .Values.leaderElection.id }}
{{- end }}

{{- define "operator-kit.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "operator-kit.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* Whose rights a binding gives: the operator's. */}}
{{- define "operator-kit.subjects" -}}
- kind: ServiceAccount
  name: {{ include "operator-kit.serviceAccountName" . }}
  namespace: {{ include "operator-kit.namespace" . }}
{{- end }}

{{- define "operator-kit.image" -}}
{{- $image := .Values.image }}
{{- with $image.registry }}{{ trimSuffix "/" . }}/{{ end }}{{ $image.repository }}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ default .Chart.AppVersion $image.tag }}{{ end }}
{{- end }}

{{/* Labels. Selectors hold the three that never change, because a Deployment's selector cannot. */}}

{{- define "operator-kit.selectorLabels" -}}
app.kubernetes.io/name: {{ include "operator-kit.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "operator-kit.commonLabels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/version: {{ default .Chart.AppVersion .Values.image.tag | trunc 63 | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "operator-kit.labels" -}}
{{ include "operator-kit.selectorLabels" . }}
{{ include "operator-kit.commonLabels" . }}
{{- end }}

{{/* The labels, and more, which go before commonLabels. Arguments: the root, and a section's own labels. */}}
{{- define "operator-kit.labelsWith" -}}
{{- merge (dict) (index . 1) (include "operator-kit.labels" (index . 0) | fromYaml) | toYaml }}
{{- end }}

{{/* Without the chart's version, so that a new chart alone restarts no pod. */}}
{{- define "operator-kit.podLabels" -}}
{{ omit (include "operator-kit.labelsWith" (list . .Values.podLabels) | fromYaml) "helm.sh/chart" "app.kubernetes.io/managed-by" | toYaml }}
{{- end }}

{{/* A duration such as 1m30s, 500ms or 90 in milliseconds. The schema has checked its form. */}}
{{- define "operator-kit.milliseconds" -}}
{{- $units := dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000 "d" 86400000 }}
{{- $total := 0 }}
{{- $text := toString . }}
{{- if regexMatch "^[0-9.]+$" $text }}
{{- $total = mulf (float64 $text) 1000 }}
{{- else }}
{{- range regexFindAll "[0-9]+([.][0-9]+)?(ms|s|m|h|d)" $text -1 }}
{{- $total = addf $total (mulf (float64 (regexFind "^[0-9.]+" .)) (get $units (regexFind "[a-z]+$" .))) }}
{{- end }}
{{- end }}
{{- $total }}
{{- end }}

{{/* What the operator needs besides the rules it is given: to tell what it did. Events are written in this group alone. */}}
{{- define "operator-kit.eventRule" -}}
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}

{{/* Whether one of the rules allows all that this rule does: "true" or nothing. Arguments: the rule, and the rules. */}}
{{- define "operator-kit.granted" -}}
{{- $rule := index . 0 }}
{{- range $other := index . 1 }}
{{- $granted := not (or $other.resourceNames $rule.nonResourceURLs) }}
{{- range $part := list "apiGroups" "resources" "verbs" }}
{{- $allowed := get $other $part | default list }}
{{- range get $rule $part }}
{{- $granted = and $granted (or (has . $allowed) (has "*" $allowed)) }}
{{- end }}
{{- end }}
{{- if $granted }}true{{ end }}
{{- end }}
{{- end }}

{{/* The CustomResourceDefinitions of crd-files/ and of crds.files, as {items: […]}. */}}
{{- define "operator-kit.crds" -}}
{{- $texts := dict }}
{{- range $path, $content := .Files.Glob "crd-files/*.{yaml,yml}" }}
{{- $_ := set $texts $path (toString $content) }}
{{- end }}
{{- range $name, $content := .Values.crds.files }}
{{- $_ := set $texts (printf "crds.files.%s" $name) $content }}
{{- end }}
{{- $items := list }}
{{- range $where, $text := $texts }}
{{- range $document := regexSplit "(?m)^---.*$" $text -1 }}
{{- $crd := fromYaml $document }}
{{- if $crd }}
{{- if hasKey $crd "Error" }}
{{- fail (printf "%s is not YAML: %s" $where $crd.Error) }}
{{- end }}
{{- if ne (toString $crd.kind) "CustomResourceDefinition" }}
{{- fail (printf "%s holds a %v, which is no CustomResourceDefinition: put other objects into extraObjects" $where (default "document without a kind" $crd.kind)) }}
{{- end }}
{{- $items = append $items $crd }}
{{- end }}
{{- end }}
{{- end }}
{{- toYaml (dict "items" $items) }}
{{- end }}

{{/* What the aggregated roles are about, as {items: [{apiGroup, resources}]}: the kinds of the definitions, and those of the values. */}}
{{- define "operator-kit.kinds" -}}
{{- $items := list }}
{{- range (include "operator-kit.crds" . | fromYaml).items }}
{{- $items = append $items (dict "apiGroup" .spec.group "resources" (list .spec.names.plural)) }}
{{- end }}
{{- toYaml (dict "items" (concat $items .Values.rbac.aggregate.resources)) }}
{{- end }}

{{/* Whether to make an object of the Prometheus Operator: "true" or nothing. Arguments: root, api version, kind, the values' section and its name. */}}
{{- define "operator-kit.monitoring" -}}
{{- if .section.enabled }}
{{- if not .root.Values.metrics.enabled }}
{{- fail (printf "%s.enabled needs metrics.enabled: there is nothing to look at without /metrics" .name) }}
{{- end }}
{{- if or (eq .section.renderMode "alwaysRender") (.root.Capabilities.APIVersions.Has (printf "monitoring.coreos.com/v1/%s" .kind)) (.root.Capabilities.APIVersions.Has "monitoring.coreos.com/v1") -}}
true
{{- else if eq .section.renderMode "failIfMissing" }}
{{- fail (printf "%s.enabled: this cluster has no %s (monitoring.coreos.com/v1). Install the Prometheus Operator, or set %s.renderMode to skipIfMissing; without a cluster to ask (helm template) use --api-versions monitoring.coreos.com/v1, or alwaysRender" .name .kind .name) }}
{{- end }}
{{- end }}
{{- end }}
