// Checks the custom resources in the files that are named by the schemas of their operators. There must be one of each kind.
import fs from "node:fs";
import YAML from "yaml";
import { ScaledObject } from "@kubernetes-models/keda/keda.sh/v1alpha1/ScaledObject";
import { ServiceMonitor } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/ServiceMonitor";

const kinds = { ScaledObject, ServiceMonitor };
const seen = new Set();
for (const file of process.argv.slice(2)) {
  for (const document of YAML.parseAllDocuments(fs.readFileSync(file, "utf8"))) {
    const manifest = document.toJS();
    const kind = kinds[manifest?.kind];
    if (kind === undefined) continue;
    try {
      new kind(manifest).validate();
      seen.add(manifest.kind);
    } catch (problem) {
      console.error(`${file}: ${manifest.kind} ${manifest.metadata?.name}: ${problem.message}`);
      process.exitCode = 1;
    }
  }
}
for (const kind of Object.keys(kinds)) {
  if (!seen.has(kind) && !process.exitCode) {
    console.error(`no ${kind} was checked`);
    process.exitCode = 1;
  }
}
