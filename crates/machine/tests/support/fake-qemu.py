"""A QEMU for tests: speaks the monitor's and the agent's protocols, runs nothing.

Behaviour comes from words in the first argument, QEMU's arguments follow:
  probe-works probe-aborts probe-hangs       what the KVM probe does
  kvm-internal-error kvm-silent kvm-aborts   what a run on KVM does
  always-refuses                             a run never starts
  agent                                      an agent answers on the control port
  deaf-agent deaf-button deaf-monitor        who does not stop the machine when told to
  junk                                       the agent's port also carries junk
"""
import json, os, socket, sys, threading, time

words, arguments = sys.argv[1].split(), sys.argv[2:]
value = lambda flag: arguments[arguments.index(flag) + 1] if flag in arguments else ""
on_kvm = value("-accel").startswith("kvm")

if "-bios" in arguments:
    if "probe-works" in words:
        sys.exit(85)
    if "probe-hangs" in words:
        time.sleep(60)
    sys.stderr.write("qemu: error: failed to set MSR 0x10a to 0x69\n")
    os.abort()

if "always-refuses" in words:
    sys.stderr.write("qemu: no\n")
    sys.exit(1)

if on_kvm and "kvm-aborts" in words:
    sys.stderr.write("qemu: error: KVM went away\n")
    sys.exit(1)

state = "internal-error" if on_kvm and "kvm-internal-error" in words else "running"
is_silent = state != "running" or (on_kvm and "kvm-silent" in words)
open("arguments.json", "w").write(json.dumps(arguments))
with open("serial.log", "w") as serial:
    serial.write("" if is_silent else "[    0.0] \x1b[1mLinux\x1b[0m version 6\n" + "." * 600 + "\n[    1.0] last line\n")


def listen(path):
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen(1)
    return server


def stop(code=0):
    os._exit(code)


monitors = []


def serve_monitor(server):
    while True:
        peer = server.accept()[0]
        send = lambda value: peer.sendall(json.dumps(value).encode() + b"\n")
        monitors.append(send)
        send({"QMP": {"version": {}, "capabilities": []}})
        for line in peer.makefile("rb"):
            command = json.loads(line)["execute"]
            if command == "query-status":
                send({"return": {"status": state, "running": state == "running"}})
            elif command == "system_powerdown":
                send({"return": {}})
                if "deaf-button" not in words:
                    stop()
            elif command == "quit":
                send({"return": {}})
                if "deaf-monitor" not in words:
                    stop()
            else:
                send({"return": {}})


STATUS = {
    "appliance": "example/lamp", "title": "LAMP", "version": "1.0.0", "root-hash": "00", "health": "starting",
    "checks": [], "hostname": "lamp", "addresses": [], "urls": [], "uptime": 1, "settings-version": 1, "notices": [],
    "update": {"state": {"is": "unknown", "since": 0}, "checked": None, "check-failed": None, "depot": None,
               "channel": "stable", "available": None, "slots": [], "patch": None, "holds": [], "policy": "manual",
               "window": None},
}


def serve_agent(server):
    peer = server.accept()[0]
    send = lambda value: peer.sendall(json.dumps(value).encode() + b"\n")
    while not monitors:
        time.sleep(0.01)
    time.sleep(0.1)
    monitors[-1]({"event": "VSERPORT_CHANGE", "data": {"id": "control-port", "open": True}})
    if "junk" in words:
        peer.sendall(b"half a li\xff\xfe\n{\"id\":\"x\"}\n[]\n" + b"x" * (2 << 20) + b"\n")
    send({"event": "hello", "with": STATUS})
    send({"event": "health", "with": dict(STATUS, health="healthy")})
    for line in peer.makefile("rb"):
        request = json.loads(line)
        identity, call = request["id"], request["call"]
        if call == "status":
            send({"id": identity, "ok": {"answer": "status", "with": dict(STATUS, health="healthy")}})
        elif call == "logs":
            # Answers late and with who asked, so that mixed-up answers are seen.
            def later(identity=identity, unit=request["with"]["unit"]):
                time.sleep(0.05)
                send({"id": identity, "ok": {"answer": "logs", "with": [unit]}})
            threading.Thread(target=later).start()
        elif call == "undo":
            send({"id": identity, "refused": {"message": "there is nothing to undo", "setting": None, "rule": None, "output": None}})
        elif call == "history":
            pass
        elif call == "power-off":
            if "deaf-agent" in words:
                continue
            send({"id": identity, "ok": {"answer": "done"}})
            send({"event": "stopping", "with": {"undeclared_writes": [{"path": "/var/lib/x", "size": 3}]}})
            time.sleep(0.1)
            stop()


monitor, guest = listen("monitor.sock"), listen("guest.sock")
threading.Thread(target=serve_monitor, args=(monitor,), daemon=True).start()
if "agent" in words and not is_silent:
    threading.Thread(target=serve_agent, args=(guest,), daemon=True).start()
time.sleep(120)
