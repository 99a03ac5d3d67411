{{/* What the operator may do in the namespaces it watches; nothing more. */}}
{{- define "headrace.rules" -}}
- apiGroups: [headrace.dev]
  resources: [datapipelines, trainjobs, tunejobs, inferenceendpoints]
  verbs: [list, watch]
# Jobs whose time to live is over.
- apiGroups: [headrace.dev]
  resources: [datapipelines, trainjobs, tunejobs]
  verbs: [delete]
- apiGroups: [headrace.dev]
  resources: [datapipelines/status, trainjobs/status, tunejobs/status, inferenceendpoints/status]
  verbs: [update]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch, create, delete]
{{- if eq .Values.operator.reports "Proxy" }}
# To ask for reports, and to tell routers their weights.
- apiGroups: [""]
  resources: [pods/proxy]
  verbs: [get, update]
{{- end }}
- apiGroups: [""]
  resources: [secrets]
  verbs: [create]
- apiGroups: [""]
  resources: [configmaps, services]
  verbs: [list, create, patch, delete]
# The address of a run's head, behind the name by which its workers reach it.
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list, create, patch, delete]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [list, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [list, create]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [list, create, patch, delete]
# Where a run has spec.gang: of Kubernetes 1.36 and of scheduler-plugins. Most clusters serve neither.
- apiGroups: [scheduling.k8s.io, scheduling.x-k8s.io]
  resources: [podgroups]
  verbs: [list, create, delete]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end }}

{{/* What it may do in its own namespace besides: lead, and keep the key that the runs' tokens are derived from. */}}
{{- define "headrace.ownRules" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ include "headrace.fullname" . | quote }}]
  verbs: [get, update]
{{- /* Argo CD's default settings leave Leases out, also the chart's. A right to create cannot name what is created. */}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [{{ printf "%s-key" (include "headrace.fullname" .) | quote }}]
  verbs: [get, update]
{{- end }}

{{- define "headrace.subjects" -}}
- kind: ServiceAccount
  name: {{ include "headrace.serviceAccountName" . | quote }}
  namespace: {{ .Release.Namespace | quote }}
{{- end }}
