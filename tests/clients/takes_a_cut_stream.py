"""Wrong: prints what it got of a stream that ended early, and is content."""

import http.client
import json
import os
import urllib.parse

import plain

url = urllib.parse.urlsplit(os.environ["OPENAI_BASE_URL"])
connection = http.client.HTTPConnection(url.hostname, url.port, timeout=30)
body = {"model": "gpt-4o-mini", "messages": plain.MESSAGES, "stream": True}
headers = {"authorization": "Bearer " + os.environ["OPENAI_API_KEY"]}
connection.request("POST", url.path + "/chat/completions", json.dumps(body), headers)
response = connection.getresponse()
try:
    for line in response:
        if line.startswith(b"data: {"):
            choices = json.loads(line[6:])["choices"]
            print(choices[0]["delta"].get("content", "") if choices else "", end="")
except http.client.HTTPException:
    pass
print()
