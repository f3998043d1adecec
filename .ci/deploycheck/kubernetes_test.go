package deploycheck

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

const manifests = "deploy/kubernetes"

// object is a manifest, or a part of one.
type object map[string]any

// at returns what is at a path such as spec.ports.0.name, or nil.
func (o object) at(path string) any {
	var here any = map[string]any(o)
	for step := range strings.SplitSeq(path, ".") {
		switch parent := here.(type) {
		case map[string]any:
			here = parent[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i >= len(parent) {
				return nil
			}
			here = parent[i]
		default:
			return nil
		}
	}
	return here
}

// text is what is at the path, as it prints.
func (o object) text(path string) string { return fmt.Sprint(o.at(path)) }

// list returns the parts of a list.
func (o object) list(path string) (parts []object) {
	all, _ := o.at(path).([]any)
	for _, part := range all {
		if m, ok := part.(map[string]any); ok {
			parts = append(parts, m)
		}
	}
	return parts
}

// build returns what kustomize makes of a directory, by kind. It writes it to RENDERED too, as name.
func build(t *testing.T, name string, files filesys.FileSystem, directory string) map[string]object {
	t.Helper()
	made, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(files, directory)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]object{}
	for _, resource := range made.Resources() {
		content, err := resource.Map()
		if err != nil {
			t.Fatal(err)
		}
		if _, twice := all[resource.GetKind()]; twice {
			t.Errorf("%s: two objects of kind %s", name, resource.GetKind())
		}
		all[resource.GetKind()] = content
	}
	if rendered := os.Getenv("RENDERED"); rendered != "" {
		text, err := made.AsYaml()
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(rendered, name+".yaml"), string(text))
	}
	return all
}

// inMemory copies the manifests, with a text of one file replaced.
func inMemory(t *testing.T, file, old, replacement string) filesys.FileSystem {
	t.Helper()
	files, replaced := filesys.MakeFsInMemory(), false
	directory := os.DirFS(filepath.Join(root, manifests))
	err := walk(directory, func(name string, text []byte) error {
		if name == file {
			replaced = strings.Contains(string(text), old)
			text = []byte(strings.ReplaceAll(string(text), old, replacement))
		}
		return files.WriteFile("/"+name, text)
	})
	if err != nil || !replaced {
		t.Fatalf("%s has no %q (%v)", file, old, err)
	}
	return files
}

// settingsOf are the variables of the container. They come from the ConfigMap, and from the pod itself.
func settingsOf(t *testing.T, all map[string]object) map[string]string {
	t.Helper()
	container := object(all["StatefulSet"].at("spec.template.spec.containers.0").(map[string]any))
	if container.text("envFrom.0.configMapRef.name") != all["ConfigMap"].text("metadata.name") {
		t.Errorf("the settings are those of %s", container.text("envFrom.0.configMapRef.name"))
	}
	settings := map[string]string{}
	data, _ := all["ConfigMap"].at("data").(map[string]any)
	for name, value := range data {
		settings[name] = fmt.Sprint(value)
	}
	for _, variable := range container.list("env") {
		settings[variable.text("name")] = variable.text("value")
		if variable.text("valueFrom.fieldRef.fieldPath") == "metadata.name" {
			settings[variable.text("name")] = all["StatefulSet"].text("metadata.name") + "-0"
		}
	}
	return settings
}

// TestKubernetes: what kustomize builds fits together, and to the service.
func TestKubernetes(t *testing.T) {
	disk := filesys.MakeFsOnDisk()
	base := build(t, "base", disk, filepath.Join(root, manifests, "base"))
	example := build(t, "example", disk, filepath.Join(root, manifests, "example"))
	keda := build(t, "keda", inMemory(t, "example/kustomization.yaml", "  # - ../components/keda", "  - ../components/keda"), "/example")
	for name, all := range map[string]map[string]object{"base": base, "example": example, "keda": keda} {
		t.Run(name, func(t *testing.T) {
			wantSettings(t, name, settingsOf(t, all))
			wantSecurePod(t, all["StatefulSet"])
			wantSelectors(t, all)
			grace := time.Duration(all["StatefulSet"].at("spec.template.spec.terminationGracePeriodSeconds").(int)) * time.Second
			wantGrace(t, grace, settingsOf(t, all))
		})
	}
	if got := base["StatefulSet"].text("spec.replicas"); got != "2" {
		t.Errorf("%s replicas", got)
	}
	if _, tag, _ := strings.Cut(example["StatefulSet"].text("spec.template.spec.containers.0.image"), ":"); !strings.HasPrefix(tag, "v") {
		t.Errorf("the image's tag %q is no version", tag)
	}
	wantScaledObject(t, keda)
}

// TestKubernetesSettings: the service starts with the example's settings, probes and Prometheus reach it by the pod's address and by the
// Service's name, and a page in a browser does not.
func TestKubernetesSettings(t *testing.T) {
	all := build(t, "example", filesys.MakeFsOnDisk(), filepath.Join(root, manifests, "example"))
	mounted := all["StatefulSet"].text("spec.template.spec.containers.0.volumeMounts.0.mountPath")
	r := start(t, settingsOf(t, all), mounted)
	for _, probe := range []struct {
		path, host string
		status     int
	}{
		{all["StatefulSet"].text("spec.template.spec.containers.0.livenessProbe.httpGet.path"), "10.42.0.7:8080", 200},
		{all["StatefulSet"].text("spec.template.spec.containers.0.readinessProbe.httpGet.path"), "10.42.0.7:8080", 503}, // there is no Kafka
		{all["ServiceMonitor"].text("spec.endpoints.0.path"), "10.42.0.7:8080", 200},
		{"/metrics", all["Service"].text("metadata.name") + ":8080", 200},
		{"/metrics", "rebound.example:8080", 421},
	} {
		if answer, err := r.get(probe.path, probe.host); err != nil || answer.status != probe.status {
			t.Errorf("%s at %s: %d %v %s", probe.path, probe.host, answer.status, err, answer.body)
		}
	}
}

// wantSecurePod wants the pod's hardening, and secrets that can be read and are updated.
func wantSecurePod(t *testing.T, pods object) {
	t.Helper()
	pod := object(pods.at("spec.template.spec").(map[string]any))
	for path, want := range map[string]string{
		"automountServiceAccountToken":                          "false",
		"securityContext.runAsNonRoot":                          "true",
		"securityContext.runAsUser":                             "65532",
		"securityContext.seccompProfile.type":                   "RuntimeDefault",
		"containers.0.securityContext.readOnlyRootFilesystem":   "true",
		"containers.0.securityContext.allowPrivilegeEscalation": "false",
		"containers.0.securityContext.capabilities.drop":        "[ALL]",
		"containers.0.args":                                     "[run]",
		"containers.0.livenessProbe.httpGet.path":               "/livez",
		"containers.0.livenessProbe.httpGet.port":               "admin",
		"containers.0.readinessProbe.httpGet.path":              "/readyz",
		"containers.0.readinessProbe.httpGet.port":              "admin",
		"containers.0.ports.0.name":                             "admin",
		"containers.0.resources.limits.cpu":                     "<nil>",
		"containers.0.volumeMounts.0.subPath":                   "<nil>",
		"volumes.0.secret.defaultMode":                          fmt.Sprint(0o440),
		"securityContext.fsGroup":                               pod.text("securityContext.runAsGroup"),
		"volumes.0.name":                                        pod.text("containers.0.volumeMounts.0.name"),
	} {
		if got := pod.text(path); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
	mounted := pod.text("containers.0.volumeMounts.0.mountPath")
	instance := false
	for _, variable := range pod.list("containers.0.env") {
		if variable.text("name") == "CONVDEL_INSTANCE_ID" {
			instance = variable.text("valueFrom.fieldRef.fieldPath") == "metadata.name"
			continue
		}
		if name := variable.text("name"); !strings.HasSuffix(name, "_FILE") || !strings.HasPrefix(variable.text("value"), mounted+"/") {
			t.Errorf("%s is no file of the secrets in %s", name, mounted)
		}
	}
	if !instance {
		t.Error("the instance ID is not the pod's name")
	}
}

// wantSelectors wants each selector to select the pods of the StatefulSet, and no others.
func wantSelectors(t *testing.T, all map[string]object) {
	t.Helper()
	labels := fmt.Sprint(all["StatefulSet"].at("spec.template.metadata.labels"))
	for kind, path := range map[string]string{
		"StatefulSet": "spec.selector.matchLabels", "PodDisruptionBudget": "spec.selector.matchLabels",
		"NetworkPolicy": "spec.podSelector.matchLabels", "Service": "spec.selector",
	} {
		if got := all[kind].text(path); got != labels {
			t.Errorf("%s selects %s, the pods are %s", kind, got, labels)
		}
	}
	if service := all["Service"]; all["StatefulSet"].text("spec.serviceName") != service.text("metadata.name") || service.text("spec.clusterIP") != "None" {
		t.Errorf("the StatefulSet is governed by %s, which is no headless Service", all["StatefulSet"].text("spec.serviceName"))
	}
	if got := all["Service"].text("spec.ports.0.targetPort"); got != "admin" {
		t.Errorf("the Service leads to port %s", got)
	}
	if got := all["PodDisruptionBudget"].text("spec.maxUnavailable"); got != "1" {
		t.Errorf("%s replicas may be away", got)
	}
	policy := all["NetworkPolicy"]
	if policy.text("spec.policyTypes") != "[Ingress Egress]" || policy.text("spec.ingress.0.ports.0.port") != "admin" {
		t.Errorf("the network policy is %v", policy)
	}
	monitor, some := all["ServiceMonitor"]
	if some && (monitor.text("spec.selector.matchLabels") != all["Service"].text("metadata.labels") ||
		monitor.text("spec.endpoints.0.port") != all["Service"].text("spec.ports.0.name")) {
		t.Errorf("the ServiceMonitor does not fit the Service: %v", monitor)
	}
}

// wantScaledObject wants KEDA to set the StatefulSet's replicas to 0 or 1, by the lag of the service's own group.
func wantScaledObject(t *testing.T, all map[string]object) {
	t.Helper()
	scaled := all["ScaledObject"]
	if replicas := all["StatefulSet"].at("spec.replicas"); replicas != nil {
		t.Errorf("the StatefulSet asks for %v replicas itself", replicas)
	}
	for path, want := range map[string]string{
		"spec.scaleTargetRef.kind": "StatefulSet", "spec.scaleTargetRef.name": all["StatefulSet"].text("metadata.name"), "spec.minReplicaCount": "0", "spec.maxReplicaCount": "1",
		"spec.triggers.0.type": "kafka", "spec.triggers.0.metadata.consumerGroup": "convdel",
		"spec.triggers.0.metadata.topic": "conversation.delete.requested",
	} {
		if got := scaled.text(path); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
	// KEDA ignores a name that it does not know, and the custom resource's schema allows any in a trigger.
	names := slices.Sorted(maps.Keys(scaled.at("spec.triggers.0.metadata").(map[string]any)))
	if want := []string{"activationLagThreshold", "bootstrapServers", "consumerGroup", "lagThreshold", "offsetResetPolicy", "scaleToZeroOnInvalidOffset", "topic"}; !slices.Equal(names, want) {
		t.Errorf("the trigger has %v, want %v", names, want)
	}
}
