//! Golden command lines: a change of one is a change of what every run does.

use super::*;

fn manifest() -> Manifest {
    let text = r#"{"format":1,"identity":{"vendor":"example","name":"lamp","title":"LAMP","version":"1.0.0",
        "summary":"s","contact":null,"url":null,"end-of-support":null},"architecture":"amd64",
        "image":{"root-hash":"0707070707070707070707070707070707070707070707070707070707070707","verity-salt":"00",
        "root-size":1,"verity-size":1},"kernel-version":"6","tool-version":"0","artifacts":[],"partitions":[],
        "resources":{"memory":1073741824,"cpus":2,"data":2147483648},
        "ports":[{"port":443,"protocol":"tcp","purpose":"web","url-scheme":"https"},
                 {"port":5514,"protocol":"udp","purpose":"logs","url-scheme":null}]}"#;
    Manifest::parse(text.as_bytes(), Path::new("release.json")).expect("a manifest")
}

fn direct() -> RunOptions {
    RunOptions { boot: Boot::Direct, ..RunOptions::of(&manifest()) }
}

fn lines(options: &RunOptions, acceleration: Acceleration) -> String {
    let forwards = [
        OpenForward { host: 8443, guest: 443, protocol: Protocol::Tcp },
        OpenForward { host: 40000, guest: 5514, protocol: Protocol::Udp },
    ];
    let found = Found {
        acceleration,
        forwards: &forwards,
        firmware_code: Some(Path::new("/firm,ware/code.fd")),
        command_line: "roothash=07 console=ttyS0",
        system_disk: names::SYSTEM,
        data_disk: names::DATA,
    };
    let command = plan(&manifest(), options, &found);
    let mut text = command.program.display().to_string();
    for argument in command.arguments {
        text.push_str(if argument.starts_with('-') { "\n" } else { " " });
        text.push_str(&argument);
    }
    text
}

#[test]
fn a_direct_boot_on_tcg_is_this_command() {
    let options = direct();
    assert_eq!(
        lines(&options, Acceleration::Tcg),
        "qemu-system-x86_64
-no-user-config
-nodefaults
-name ampoule-lamp
-machine q35
-accel tcg,thread=multi
-cpu max
-smp 2
-m 1024M
-rtc base=utc
-device virtio-rng-pci
-device i6300esb
-action watchdog=reset
-kernel kernel
-initrd initrd
-append roothash=07 console=ttyS0
-drive if=none,id=system,format=qcow2,discard=unmap,file=system.qcow2
-device virtio-blk-pci,drive=system,serial=ampoule-system
-drive if=none,id=data,format=raw,discard=unmap,file=data.raw
-device virtio-blk-pci,drive=data,serial=ampoule-data
-netdev user,id=network,hostfwd=tcp:127.0.0.1:8443-:443,hostfwd=udp:127.0.0.1:40000-:5514
-device virtio-net-pci,netdev=network,romfile=
-chardev file,id=serial,path=serial.log
-serial chardev:serial
-chardev socket,id=monitor,path=monitor.sock,server=on,wait=off
-mon chardev=monitor,mode=control
-device virtio-serial-pci,id=ports
-chardev socket,id=control,path=guest.sock,server=on,wait=off
-device virtserialport,bus=ports.0,id=control-port,chardev=control,name=org.ampoule.control
-display none"
    );
}

#[test]
fn a_boot_through_firmware_on_kvm_with_everything_is_this_command() {
    let mut options = RunOptions::of(&manifest());
    options.boot = Boot::Uefi;
    options.settings = Some("x = 1".into());
    options.seed = Some("/a,b/seed.img".into());
    options.screen = Screen::Unseen;
    options.extra = vec!["-snapshot".into()];
    let text = lines(&options, Acceleration::Kvm);
    let direct = lines(&direct(), Acceleration::Tcg);
    let new: Vec<_> = text.lines().filter(|line| !direct.lines().any(|other| other == *line)).collect();
    assert_eq!(
        new,
        [
            "-accel kvm",
            "-cpu host",
            "-drive if=pflash,unit=0,format=raw,readonly=on,file=/firm,,ware/code.fd",
            "-drive if=pflash,unit=1,format=raw,file=firmware-variables.fd",
            "-device virtio-blk-pci,drive=system,serial=ampoule-system,bootindex=0",
            "-drive if=none,id=seed,format=raw,readonly=on,file=/a,,b/seed.img",
            "-device virtio-blk-pci,drive=seed,serial=ampoule-seed",
            "-fw_cfg name=opt/org.ampoule/settings,file=settings.toml",
            "-device VGA",
            "-snapshot",
        ]
    );
}

#[test]
fn what_is_thrown_away_is_not_flushed_to_the_hosts_disk() {
    let unflushed = |options: &RunOptions| {
        let text = lines(options, Acceleration::Tcg);
        text.lines().filter(|line| line.contains("cache.no-flush=on")).count()
    };
    assert_eq!(unflushed(&direct()), 0);
    assert_eq!(unflushed(&RunOptions { flush: Flush::Host, ..direct() }), 2);
    assert_eq!(unflushed(&RunOptions { keep: Keep::Nothing, ..direct() }), 2);
}

#[test]
fn wished_ports_are_ports_an_ordinary_user_may_have() {
    let wishes: Vec<_> = RunOptions::of(&manifest()).forwards.iter().map(|forward| forward.host).collect();
    assert_eq!(wishes, [HostPort::Wished(8443), HostPort::Wished(5514)]);
}
