"""What of iperf3's report does not depend on time: iperf.py FILE."""
import json
import sys

with open(sys.argv[1]) as file:
    report = json.load(file)
if "error" in report:
    sys.exit(report["error"])
end = report["end"]
test = report["start"]["test_start"]
print(test["protocol"], "reverse" if test["reverse"] else "forward", test["num_streams"], "streams")
print("sent", end["sum_sent"]["bytes"] >= test["bytes"], "of", test["bytes"])
print("received", end["sum_received"]["bytes"] > 0)
