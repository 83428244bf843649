"""Requests with nothing but the standard library, for clients that are wrong on purpose."""

import http.client
import json
import os
import urllib.parse

MESSAGES = [{"role": "user", "content": "Say hello."}]


def post(base, path, body, headers):
    """Sends a request, and returns its status, headers and text; a status of 0 is no answer."""
    url = urllib.parse.urlsplit(base)
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=30)
    try:
        headers = {"content-type": "application/json", **headers}
        connection.request("POST", url.path + path, json.dumps(body), headers)
        response = connection.getresponse()
        return response.status, response.headers, response.read().decode()
    except (OSError, http.client.HTTPException) as error:
        return 0, {}, str(error)
    finally:
        connection.close()


def openai():
    """Asks OpenAI once."""
    headers = {"authorization": "Bearer " + os.environ["OPENAI_API_KEY"]}
    body = {"model": "gpt-4o-mini", "messages": MESSAGES}
    return post(os.environ["OPENAI_BASE_URL"], "/chat/completions", body, headers)


def anthropic():
    """Asks Anthropic once."""
    headers = {"x-api-key": os.environ["ANTHROPIC_API_KEY"], "anthropic-version": "2023-06-01"}
    body = {"model": "claude-haiku-4-5", "max_tokens": 100, "messages": MESSAGES}
    return post(os.environ["ANTHROPIC_BASE_URL"], "/v1/messages", body, headers)
