"""Real XMPP clients (slixmpp) for tests: commands come as JSON lines on standard input, answers
and everything that a client receives go as JSON lines to standard output.

    {"seq": 1, "as": "a", "do": "login", "jid": "alice@x.example/r", "host": "127.0.0.1", "port": 5222}
    {"seq": 1, "ok": true}        {"seq": 2, "ok": false, "why": "..."}        {"as": "a", "stanza": "<presence/>"}
"""

import asyncio
import json
import logging
import sys
from xml.etree import ElementTree

import slixmpp

PASSWORD = "secret"
LIMIT = 20


def tell(line):
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


class Client(slixmpp.ClientXMPP):
    """One session of one user; decides nothing by itself."""

    def __init__(self, name, jid):
        super().__init__(jid, PASSWORD)
        self.name = name
        self.begun = asyncio.get_event_loop().create_future()
        self.ended = asyncio.get_event_loop().create_future()
        self.auto_authorize = None
        self.auto_subscribe = False
        self["feature_mechanisms"].unencrypted_plain = True
        self.register_plugin("xep_0030")
        self.register_plugin("xep_0191")
        self.register_plugin("xep_0199")
        self.add_filter("in", self.show)
        self.add_event_handler("session_start", lambda _: self.settle(self.begun, None))
        self.add_event_handler("failed_all_auth", lambda _: self.settle(self.begun, "refused"))
        self.add_event_handler("disconnected", lambda _: self.gone())

    def show(self, stanza):
        if isinstance(stanza, (slixmpp.Presence, slixmpp.Message, slixmpp.Iq)):
            tell({"as": self.name, "stanza": ElementTree.tostring(stanza.xml, encoding="unicode")})
        return stanza

    def gone(self):
        self.settle(self.begun, "disconnected")
        if not self.ended.done():
            self.ended.set_result(None)
        tell({"as": self.name, "gone": True})

    def settle(self, future, trouble):
        if not future.done():
            if trouble is None:
                future.set_result(None)
            else:
                future.set_exception(RuntimeError(trouble))


class Desk:
    """Carries out the commands."""

    def __init__(self):
        self.clients = {}

    async def carry_out(self, line):
        try:
            result = await asyncio.wait_for(self.run(line), LIMIT)
            tell({"seq": line["seq"], "ok": True, "result": result})
        except Exception as error:  # whatever it is, the test wants to know
            tell({"seq": line["seq"], "ok": False, "why": repr(error)})

    async def run(self, line):
        return await getattr(self, "do_" + line["do"])(line)

    def client(self, line):
        return self.clients[line["as"]]

    async def do_login(self, line):
        client = Client(line["as"], line["jid"])
        self.clients[line["as"]] = client
        client.connect((line["host"], line["port"]), force_starttls=False, disable_starttls=True)
        await client.begun
        await client.get_roster()

    async def do_logout(self, line):
        client = self.client(line)
        client.disconnect()
        await client.ended

    async def do_abort(self, line):
        """Drops the connection without a word."""
        self.client(line).abort()

    async def do_presence(self, line):
        keys = {"show": "pshow", "status": "pstatus", "priority": "ppriority", "to": "pto", "type": "ptype"}
        self.client(line).send_presence(**{keys[key]: value for key, value in line.items() if key in keys})

    async def do_subscription(self, line):
        """subscribe, subscribed (approve), unsubscribe, unsubscribed (deny)."""
        self.client(line).send_presence_subscription(pto=line["to"], ptype=line["type"])

    async def do_remove(self, line):
        await self.client(line).del_roster_item(line["to"])

    async def do_roster(self, line):
        # get_roster() would ask for changes only.
        iq = self.client(line).make_iq_get()
        iq.enable("roster")
        items = (await iq.send())["roster"]["items"]
        return {str(jid): {"subscription": item["subscription"], "ask": item["ask"]} for jid, item in items.items()}

    async def do_block(self, line):
        await self.client(line)["xep_0191"].block([slixmpp.JID(line["to"])])

    async def do_unblock(self, line):
        await self.client(line)["xep_0191"].unblock([slixmpp.JID(line["to"])])

    async def do_say(self, line):
        message = self.client(line).make_message(mto=line["to"], mbody=line["text"], mtype="chat")
        message["id"] = line["id"]
        message.send()


async def main():
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    desk = Desk()
    reader = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    tell({"ready": slixmpp.__version__})
    # Commands of one session keep their order: each is begun when it is read.
    running = set()
    while line := await reader.readline():
        task = asyncio.ensure_future(desk.carry_out(json.loads(line)))
        running.add(task)
        task.add_done_callback(running.discard)
        await asyncio.sleep(0)


asyncio.run(main())
