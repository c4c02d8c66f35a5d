"""OpenAI's library for Python as a client: completions and responses, streamed, stopped and resumed.

Says on standard output what it did, as the scripts beside it do.
"""

import json
import sys

import openai

world = json.loads(sys.argv[1])
MODEL = "default"
MESSAGES = [{"role": "user", "content": "What is AI?"}]


def library(key):
    # No retries: what went wrong has to be seen.
    return openai.OpenAI(api_key=key, base_url=world["url"] + "/v1", max_retries=0)


def refusal(act):
    """The kind of a refusal."""
    try:
        act()
    except openai.APIStatusError as error:
        return {"kind": type(error).__name__, "status": error.status_code, "code": error.code, "param": error.param}
    return None


client = library(world["key"])
result = {"models": [model.id for model in client.models.list()]}
result["retrieved"] = client.models.retrieve(result["models"][-1]).id

result["whole"] = client.chat.completions.create(model=MODEL, messages=MESSAGES).choices[0].message.content
chunks = client.chat.completions.create(
    model=MODEL,
    messages=MESSAGES,
    stream=True,
    stream_options={"include_usage": True},
    extra_body={"conversation": "from-python"},
)
result["streamed"] = ""
for chunk in chunks:
    if chunk.choices:
        result["streamed"] += chunk.choices[0].delta.content or ""
    if chunk.usage:
        result["usage"] = chunk.usage.total_tokens

response = client.responses.create(model=MODEL, input="one two")
following = client.responses.create(model=MODEL, input="three", previous_response_id=response.id)
result["response"], result["next"] = response.output_text, following.output_text
result["conversations"] = [response.conversation.id, following.conversation.id]

# The connection is given up in the middle, and another one goes on.
words = " ".join(["word"] * world["words"])
heard = {"id": None, "after": 0, "text": ""}
with client.responses.create(model=MODEL, input=words, stream=True) as events:
    for event in events:
        heard["after"] = event.sequence_number
        if event.type == "response.created":
            heard["id"] = event.response.id
        elif event.type == "response.output_text.delta":
            heard["text"] += event.delta
        if len(heard["text"]) > 20:
            break
result["before"] = heard["text"]
for event in client.responses.retrieve(heard["id"], stream=True, starting_after=heard["after"]):
    if event.type == "response.output_text.delta":
        heard["text"] += event.delta
    elif event.type == "response.completed":
        heard["completed"] = event.response.output_text
result["heard"] = heard
with client.responses.stream(response_id=heard["id"]) as again:
    result["final"] = again.get_final_response().output_text

# In the background, stopped.
background = client.responses.create(model=MODEL, input=words + " " + words, background=True)
stopped = {"begun": background.status}
for event in client.responses.retrieve(background.id, stream=True):
    if event.type == "response.output_text.delta" and "status" not in stopped:
        cancelled = client.responses.cancel(background.id)
        stopped["status"], stopped["text"] = cancelled.status, cancelled.output_text
    stopped["last"] = event.type
kept = client.responses.retrieve(background.id)
stopped["kept"] = [kept.status, kept.output_text]
result["stopped"] = stopped

nobody = [{"role": "nobody", "content": "x"}]
result["refused"] = {
    "stranger": refusal(lambda: library("sk-nobody").models.list()),
    "model": refusal(lambda: client.chat.completions.create(model="gpt-4o", messages=MESSAGES)),
    "field": refusal(lambda: client.chat.completions.create(model=MODEL, messages=nobody)),
    "response": refusal(lambda: client.responses.retrieve("resp_00000000000000000000000000000000")),
}
print(json.dumps({"result": result}))
