"""A device on PyPI paho-mqtt. README.md has its argument and its output."""

import json
import sys
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties


class Device:
    """One connection, driven by hand so that the last PUBACK leaves before the DISCONNECT."""

    def __init__(self, plan: dict) -> None:
        self.plan = plan
        self.url = urlsplit(plan["url"])
        self.version5 = plan["protocolVersion"] == 5
        self.subscribed = not plan["filters"]
        self.connected = False
        self.received = 0
        self.leaving = False
        self.client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=plan["clientId"],
            clean_session=None if self.version5 else plan["clean"],
            protocol=MQTTProtocolVersion.MQTTv5 if self.version5 else MQTTProtocolVersion.MQTTv311,
            transport="websockets" if self.url.scheme in ("ws", "wss") else "tcp",
        )
        self.client.username_pw_set(plan["username"], plan["password"])
        if self.url.scheme in ("mqtts", "wss"):
            self.client.tls_set()
        if self.url.path:
            self.client.ws_set_options(path=self.url.path)
        self.client.on_connect = self.on_connect
        self.client.on_subscribe = self.on_subscribe
        self.client.on_message = self.on_message
        self.client.on_disconnect = self.on_disconnect

    def connect(self) -> None:
        options = {}
        if self.version5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = self.plan.get("sessionExpiry", 0)
            properties.ReceiveMaximum = self.plan.get("receiveMaximum", 65_535)
            options = {"clean_start": self.plan["clean"], "properties": properties}
        self.client.connect(self.url.hostname, self.url.port, keepalive=30, **options)

    def on_connect(self, _client, _userdata, flags, reason, _properties) -> None:
        if reason.is_failure:
            fail(str(reason), reason.value)
        self.connected = True
        show({"event": "connected", "sessionPresent": flags.session_present})
        if self.plan["filters"]:
            self.client.subscribe([(name, 1) for name in self.plan["filters"]])

    def on_subscribe(self, _client, _userdata, _mid, reasons, _properties) -> None:
        self.subscribed = True
        show({"event": "subscribed", "granted": [reason.value for reason in reasons]})

    def on_message(self, _client, _userdata, message) -> None:
        if self.leaving:
            return
        self.received += 1
        show({
            "event": "message",
            "topic": message.topic,
            "payload": message.payload.decode(),
            "qos": message.qos,
            "dup": message.dup,
            "retain": message.retain,
            "properties": message.properties.json() if self.version5 else None,
        })

    def on_disconnect(self, _client, _userdata, flags, reason, _properties) -> None:
        if flags.is_disconnect_packet_from_server:
            show({"event": "disconnect", "reasonCode": reason.value})

    def done(self) -> bool:
        return self.connected and self.subscribed and self.received >= self.plan["count"]

    def run(self) -> None:
        self.connect()
        while not self.done():
            self.step()
        self.leaving = True
        while self.client.want_write():
            self.client.loop_write()
        self.client.disconnect()
        while self.client.loop(timeout=1.0) == mqtt.MQTT_ERR_SUCCESS:
            pass

    def step(self) -> None:
        status = self.client.loop(timeout=1.0)
        if status != mqtt.MQTT_ERR_SUCCESS:
            fail(mqtt.error_string(status), int(status))


def show(line: dict) -> None:
    print(json.dumps(line), flush=True)


def fail(message: str, code: int | None = None) -> None:
    show({"event": "error", "message": message, "code": code})
    sys.exit(1)


try:
    Device(json.loads(sys.argv[1])).run()
except (OSError, mqtt.WebsocketConnectionError) as error:
    fail(str(error))
