{{/*
The chart has no manifest of its own: it reads those in files/, which kustomize builds too, and puts values into them.
Templates here take a dictionary: "root" is the context of the chart.
*/}}

{{/*
clarion.objects prints the objects of a file ("path"), with the labels of a component ("folder"). The namespace of the
release is there already, and not the chart's.
*/}}
{{- define "clarion.objects" -}}
{{- range regexSplit "(?m)^---\n" (.root.Files.Get .path) -1 }}
{{- with fromYaml . }}
{{- if not (and (eq .kind "Namespace") (eq .metadata.name $.root.Release.Namespace)) }}
{{ include "clarion.object" (dict "root" $.root "folder" $.folder "object" .) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/*
clarion.object prints one object, with the labels of the release and of its component. What users have is kept when the
release is uninstalled: kinds with their objects, and namespaces with the Secrets in them.
*/}}
{{- define "clarion.object" -}}
{{- $labels := dict
  "app.kubernetes.io/instance" .root.Release.Name
  "app.kubernetes.io/managed-by" .root.Release.Service
  "app.kubernetes.io/part-of" "clarion"
  "app.kubernetes.io/version" .root.Chart.AppVersion }}
{{- with .folder }}
{{- $kustomization := $.root.Files.Get (printf "files/%s/kustomization.yaml" .) | fromYaml }}
{{- $labels = merge $labels (first $kustomization.labels).pairs }}
{{- end }}
{{- $metadata := .object.metadata }}
{{- $_ := set $metadata "labels" (merge (dict) $labels ($metadata.labels | default dict)) }}
{{- if has .object.kind (list "CustomResourceDefinition" "Namespace") }}
{{- $_ := set $metadata "annotations" (merge (dict "helm.sh/resource-policy" "keep") ($metadata.annotations | default dict)) }}
{{- end }}
{{- with dig "spec" "template" "metadata" dict .object }}
{{- $_ := set . "labels" (merge (dict) $labels .labels) }}
{{- end }}
---
{{ toYaml .object }}
{{- end }}

{{/*
clarion.workload prints the Deployment or DaemonSet of a component ("folder", "file"), with its part of the values
("values"), further arguments ("args") and ports ("ports"), and a ConfigMap to mount ("configMap"). When that changes, the pods do.
*/}}
{{- define "clarion.workload" -}}
{{- $root := .root }}
{{- $values := .values | default dict }}
{{- $workload := $root.Files.Get (printf "files/%s/%s" .folder .file) | fromYaml }}
{{- if hasKey . "replicas" }}
{{- $_ := set $workload.spec "replicas" .replicas }}
{{- end }}
{{- $pod := $workload.spec.template.spec }}
{{- $container := first $pod.containers }}

{{- $all := $root.Values.image | default dict }}
{{- $own := $values.image | default dict }}
{{- $repository := coalesce $own.repository $all.repository $container.image }}
{{- $_ := set $container "image" (printf "%s:%s" $repository (coalesce $own.tag $all.tag $root.Chart.AppVersion)) }}
{{- with coalesce $own.pullPolicy $all.pullPolicy }}
{{- $_ := set $container "imagePullPolicy" . }}
{{- end }}
{{- with $root.Values.imagePullSecrets }}
{{- $_ := set $pod "imagePullSecrets" . }}
{{- end }}

{{- $_ := set $container "args" (concat $container.args .args ($values.extraArgs | default list)) }}
{{- $_ := set $container "ports" (concat $container.ports .ports) }}
{{- with $root.Values.apiServer }}
{{- $port := .port }}
{{- with .host }}
{{- /* The kubelet puts the port of the Service kubernetes there, where no API server listens. */}}
{{- $port = $port | default 6443 }}
{{- $_ := set $container "env" (append $container.env (dict "name" "KUBERNETES_SERVICE_HOST" "value" .)) }}
{{- end }}
{{- with $port }}
{{- $_ := set $container "env" (append $container.env (dict "name" "KUBERNETES_SERVICE_PORT" "value" (toString .))) }}
{{- end }}
{{- end }}

{{- range $kind, $amounts := $values.resources }}
{{- $all := get $container.resources $kind | default dict }}
{{- $_ := include "clarion.put" (dict "into" $all "from" $amounts) }}
{{- $_ := set $container.resources $kind $all }}
{{- end }}
{{- if hasKey (dig "limits" dict ($values.resources | default dict) | default dict) "memory" }}
{{- range $container.env }}
{{- if eq .name "GOMEMLIMIT" }}
{{- $_ := set . "value" (include "clarion.memoryLimit" $container.resources.limits.memory) }}
{{- end }}
{{- end }}
{{- end }}

{{- $_ := include "clarion.put" (dict "into" $pod.nodeSelector "from" $values.nodeSelector) }}
{{- range $field := list "affinity" "tolerations" "priorityClassName" }}
{{- if not (kindIs "invalid" (index $values $field)) }}
{{- $_ := set $pod $field (index $values $field) }}
{{- end }}
{{- end }}
{{- with .configMap }}
{{- $_ := set $pod "volumes" (list (dict "name" .name "configMap" (dict "name" .configMap))) }}
{{- $_ := set $container "volumeMounts" (list (dict "name" .name "mountPath" .mountPath "readOnly" true)) }}
{{- end }}
{{- $annotations := dict }}
{{- with .configMap }}
{{- $_ := set $annotations (printf "checksum/%s" .name) .checksum }}
{{- end }}
{{- if or $values.podAnnotations $annotations }}
{{- $_ := include "clarion.put" (dict "into" $annotations "from" $values.podAnnotations) }}
{{- $_ := set $workload.spec.template.metadata "annotations" $annotations }}
{{- end }}
{{ include "clarion.object" (dict "root" $root "folder" .folder "object" $workload) }}
{{- end }}

{{/* clarion.put puts the entries of a map ("from") into another one ("into"), and takes out what is null. */}}
{{- define "clarion.put" -}}
{{- range $key, $value := .from }}
{{- if kindIs "invalid" $value }}
{{- $_ := unset $.into $key }}
{{- else }}
{{- $_ := set $.into $key $value }}
{{- end }}
{{- end }}
{{- end }}

{{/* clarion.memoryLimit is the soft limit of the Go runtime for a limit of a container: nine tenths of it. */}}
{{- define "clarion.memoryLimit" -}}
{{- $number := regexFind "^[0-9]+" (toString .) | int64 }}
{{- $unit := regexFind "[^0-9].*$" (toString .) }}
{{- if eq $unit "Gi" }}{{ div (mul $number 1024 9) 10 }}MiB
{{- else if eq $unit "Mi" }}{{ div (mul $number 9) 10 }}MiB
{{- else }}off
{{- end }}
{{- end }}
