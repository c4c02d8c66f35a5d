"""The Python server library: publishing, reading the state of channels, ending connections, webhooks.

Says on standard output what it did, as the scripts beside it do.
"""

import json
import sys
from urllib.parse import urlsplit

import pusher
from pusher.errors import PusherError

world = json.loads(sys.argv[1])
place = urlsplit(world["url"])


def backend(secret):
    return pusher.Pusher(
        app_id=world["app"], key=world["key"], secret=secret, host=place.hostname, port=place.port, ssl=False
    )


def refusal(act):
    """The kind of a refusal."""
    try:
        act()
    except (PusherError, ValueError) as error:
        return type(error).__name__
    return None


server = backend(world["secret"])
headers, body = world["webhook"]["headers"], world["webhook"]["body"]


def webhook(signature, text):
    return server.validate_webhook(headers["x-pusher-key"], signature, text)


result = {
    "trigger": server.trigger("news", "headline", {"n": 1}),
    "many": server.trigger(["news", "presence-room"], "headline", {"n": 2}),
    "spared": server.trigger("news", "headline", {"n": 3}, world["socket"]),
    "batch": server.trigger_batch(
        [
            {"channel": "news", "name": "headline", "data": {"n": 4}},
            {"channel": "private-orders", "name": "order", "data": {"n": 5}},
        ]
    ),
    "channels": server.channels_info(),
    "rooms": server.channels_info("presence-", ["user_count"]),
    "room": server.channel_info("presence-room", ["user_count", "subscription_count"]),
    "empty": server.channel_info("nobody-is-here"),
    "users": server.users_info("presence-room"),
    "refused": {
        "usersOfNews": refusal(lambda: server.users_info("news")),
        "countOfAll": refusal(lambda: server.channels_info(None, ["user_count"])),
        "stranger": refusal(lambda: backend("x").trigger("news", "headline", {})),
        "strangerEnds": refusal(lambda: backend("x").terminate_user_connections("u1")),
    },
    "terminated": server.terminate_user_connections("u1"),
    "webhook": {
        "events": webhook(headers["x-pusher-signature"], body)["events"],
        "changed": webhook(headers["x-pusher-signature"], body.replace("news", "olds")),
        "forged": webhook("0" * 64, body),
    },
}
print(json.dumps({"result": result}))
