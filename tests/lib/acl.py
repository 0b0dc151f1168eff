"""Access rules of topics, through the C library: python's client of Debian 12 has no call for them."""
import ctypes

ALL, DESCRIBE_CONFIGS = 2, 10
DENY, ALLOW = 2, 3
TOPIC, LITERAL, PRODUCER = 2, 3, 0


def add_topic_rules(broker, topic, *rules):
    """rules: (operation, permission) for everybody."""
    lib = ctypes.CDLL("librdkafka.so.1")
    for name in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_queue_new", "rd_kafka_queue_poll", "rd_kafka_AclBinding_new",
                 "rd_kafka_event_CreateAcls_result", "rd_kafka_CreateAcls_result_acls", "rd_kafka_acl_result_error"):
        getattr(lib, name).restype = ctypes.c_void_p

    def call(name, *args):
        return getattr(lib, name)(*(ctypes.c_void_p(a) if isinstance(a, int) and a > 0xffff else a for a in args))
    error = ctypes.create_string_buffer(512)
    conf = call("rd_kafka_conf_new")
    call("rd_kafka_conf_set", conf, b"bootstrap.servers", broker.address.encode(), error, ctypes.c_size_t(512))
    rk = call("rd_kafka_new", PRODUCER, conf, error, ctypes.c_size_t(512))
    assert rk, error.value
    queue = call("rd_kafka_queue_new", rk)
    bindings = (ctypes.c_void_p * len(rules))(*(
        call("rd_kafka_AclBinding_new", TOPIC, topic.encode(), LITERAL, b"User:ANONYMOUS", b"*", operation, permission, error,
             ctypes.c_size_t(512)) for operation, permission in rules))
    call("rd_kafka_CreateAcls", rk, bindings, ctypes.c_size_t(len(rules)), None, queue)
    event = call("rd_kafka_queue_poll", queue, 15000)
    assert event and call("rd_kafka_event_error", event) == 0, "no rules made"
    count = ctypes.c_size_t()
    acls = call("rd_kafka_CreateAcls_result_acls", call("rd_kafka_event_CreateAcls_result", event), ctypes.byref(count))
    for acl in ctypes.cast(acls, ctypes.POINTER(ctypes.c_void_p))[:count.value]:
        assert not call("rd_kafka_acl_result_error", acl), "a rule was refused"
    call("rd_kafka_event_destroy", event)
    for binding in bindings:
        call("rd_kafka_AclBinding_destroy", binding)
    call("rd_kafka_queue_destroy", queue)
    call("rd_kafka_destroy", rk)
