"""`/metrics`, read with the official Prometheus parser after the SDKs have made requests."""
import os
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

with urllib.request.urlopen(os.environ["GATEWAY_URL"] + "/metrics") as answer:
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4"), answer.headers
    text = answer.read().decode()
families = {family.name: family for family in text_string_to_metric_families(text)}
for name, kind in {
    "llm_wrapper_requests": "counter",
    "llm_wrapper_request_duration_seconds": "histogram",
    "llm_wrapper_first_byte_seconds": "histogram",
    "llm_wrapper_tokens": "counter",
    "llm_wrapper_open_streams": "gauge",
    "llm_wrapper_upstream_connections": "gauge",
    "process_resident_memory_bytes": "gauge",
}.items():
    assert families[name].type == kind, (name, families[name].type)
    assert families[name].documentation, name
counted = sum(sample.value for sample in families["llm_wrapper_requests"].samples)
assert counted > 10, counted
for family in families.values():
    seen = [(sample.name, tuple(sorted(sample.labels.items()))) for sample in family.samples]
    assert len(seen) == len(set(seen)), f"{family.name} has a sample twice"
    # Each histogram adds up: buckets never shrink, the last one is the count.
    if family.type == "histogram":
        rows = {}
        for sample in family.samples:
            labels = tuple(sorted(item for item in sample.labels.items() if item[0] != "le"))
            rows.setdefault(labels, {}).setdefault(sample.name.rsplit("_", 1)[1], []).append(sample.value)
        for labels, row in rows.items():
            assert row["bucket"] == sorted(row["bucket"]), labels
            assert [row["bucket"][-1]] == row["count"], labels
print(f"metrics: {len(families)} families, {int(counted)} requests counted")
