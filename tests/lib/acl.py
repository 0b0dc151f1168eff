"""Access rules of topics, through the C library: python's client of Debian 12 has no call for them."""
import ctypes

ANY_OPERATION, ALL, READ, DESCRIBE_CONFIGS = 1, 2, 3, 10
ANY_PERMISSION, DENY, ALLOW = 1, 2, 3
TOPIC, GROUP, LITERAL, PRODUCER = 2, 3, 3, 0


def add_topic_rules(broker, topic, *rules):
    """rules: (operation, permission) for everybody."""
    add_rules(broker, TOPIC, topic, *rules)


def add_rules(broker, kind, name, *rules, principal="User:ANONYMOUS"):
    """kind: TOPIC or GROUP; rules: (operation, permission) for the principal."""
    client = Client(broker)
    bindings = [client.call("rd_kafka_AclBinding_new", kind, name.encode(), LITERAL, principal.encode(), b"*", operation, permission,
                            client.error, ctypes.c_size_t(512)) for operation, permission in rules]
    event = client.ask("rd_kafka_CreateAcls", bindings)
    count = ctypes.c_size_t()
    acls = client.call("rd_kafka_CreateAcls_result_acls", client.call("rd_kafka_event_CreateAcls_result", event), ctypes.byref(count))
    for acl in ctypes.cast(acls, ctypes.POINTER(ctypes.c_void_p))[:count.value]:
        assert not client.call("rd_kafka_acl_result_error", acl), "a rule was refused"
    client.close(event)


def remove_rules(broker, kind, name):
    """All rules about it."""
    client = Client(broker)
    any_rule = client.call("rd_kafka_AclBindingFilter_new", kind, name.encode(), LITERAL, None, None, ANY_OPERATION, ANY_PERMISSION,
                           client.error, ctypes.c_size_t(512))
    client.close(client.ask("rd_kafka_DeleteAcls", [any_rule]))


class Client:
    def __init__(self, broker):
        self.lib = ctypes.CDLL("librdkafka.so.1")
        self.error = ctypes.create_string_buffer(512)
        conf = self.call("rd_kafka_conf_new")
        self.call("rd_kafka_conf_set", conf, b"bootstrap.servers", broker.address.encode(), self.error, ctypes.c_size_t(512))
        self.rk = self.call("rd_kafka_new", PRODUCER, conf, self.error, ctypes.c_size_t(512))
        assert self.rk, self.error.value
        self.queue = self.call("rd_kafka_queue_new", self.rk)

    def call(self, name, *args):
        function = getattr(self.lib, name)
        function.restype = ctypes.c_void_p
        return function(*(ctypes.c_void_p(a) if isinstance(a, int) and a > 0xffff else a for a in args))

    def ask(self, name, items):
        """The event that answers it."""
        array = (ctypes.c_void_p * len(items))(*items)
        self.call(name, self.rk, array, ctypes.c_size_t(len(items)), None, self.queue)
        event = self.call("rd_kafka_queue_poll", self.queue, 15000)
        assert event and not self.call("rd_kafka_event_error", event), f"{name} failed"
        for item in items:
            self.call("rd_kafka_AclBinding_destroy", item)
        return event

    def close(self, event):
        self.call("rd_kafka_event_destroy", event)
        self.call("rd_kafka_queue_destroy", self.queue)
        self.call("rd_kafka_destroy", self.rk)
