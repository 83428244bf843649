"""One message with the official Anthropic SDK and its defaults."""

import sys

import anthropic

client = anthropic.Anthropic()
request = {
    "model": "claude-haiku-4-5",
    "max_tokens": 500,
    "messages": [{"role": "user", "content": "Say hello."}],
}
if "--stream" in sys.argv:
    with client.messages.stream(**request) as stream:
        for text in stream.text_stream:
            print(text, end="")
    print()
else:
    print(client.messages.create(**request).content[0].text)
