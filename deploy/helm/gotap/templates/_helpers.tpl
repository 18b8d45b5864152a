{{- define "gotap.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "gotap.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains (include "gotap.name" .) .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "gotap.name" .) | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "gotap.selectorLabels" -}}
app.kubernetes.io/name: {{ include "gotap.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "gotap.labels" -}}
{{ include "gotap.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
{{- end }}

{{- define "gotap.image" -}}
{{- .Values.image.repository }}
{{- if or .Values.image.tag (not .Values.image.digest) }}:{{ default .Chart.AppVersion .Values.image.tag }}{{ end }}
{{- with .Values.image.digest }}@{{ . }}{{ end }}
{{- end }}

{{- /* Kubernetes has a field for it from 1.30 on, and an annotation before. */ -}}
{{- define "gotap.hasAppArmorField" -}}
{{- if semverCompare ">=1.30-0" .Capabilities.KubeVersion.Version }}true{{ end }}
{{- end }}

{{- define "gotap.appArmorAnnotation" -}}
{{- if eq .type "Localhost" }}localhost/{{ .localhostProfile }}
{{- else if eq .type "RuntimeDefault" }}runtime/default
{{- else }}unconfined
{{- end }}
{{- end }}

{{- define "gotap.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "gotap.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "gotap.config" -}}
{{- $listen := dict "prometheus_listen" (printf "0.0.0.0:%d" (int .Values.metricsPort)) -}}
{{- toYaml (merge $listen .Values.config) }}
{{- end }}
