"""One chat completion with the official OpenAI SDK and its defaults."""

import sys

import openai

client = openai.OpenAI()
stream = "--stream" in sys.argv
answer = client.chat.completions.create(
    model="gpt-4o-mini",
    messages=[{"role": "user", "content": "Say hello."}],
    stream=stream,
)
if stream:
    for chunk in answer:
        if chunk.choices and chunk.choices[0].delta.content:
            print(chunk.choices[0].delta.content, end="")
    print()
else:
    print(answer.choices[0].message.content)
