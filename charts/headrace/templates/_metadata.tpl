{{/* What selects the operator's pods; must never change, as a Deployment's selector is immutable. */}}
{{- define "headrace.selectorLabels" -}}
app.kubernetes.io/name: {{ include "headrace.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "headrace.labels" -}}
{{ include "headrace.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: headrace
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Labels and annotations of one object: `context`, and its own `labels` and `annotations`, which win. */}}
{{- define "headrace.metadata" -}}
labels:
  {{- $standard := include "headrace.labels" .context | fromYaml }}
  {{- mergeOverwrite (dict) .context.Values.commonLabels (default dict .labels) $standard | toYaml | nindent 2 }}
{{- with mergeOverwrite (dict) .context.Values.commonAnnotations (default dict .annotations) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
