"""Wrong: asks the fallback first."""

import plain

for ask in (plain.anthropic, plain.openai, plain.anthropic):
    status, _, text = ask()
    if status == 200:
        print(text)
        break
