//! From what is wanted to QEMU's arguments. Pure: nothing is looked up, created or started here.

use std::path::{Path, PathBuf};
use std::time::Duration;

use model::ByteSize;
use model::control::PORT_NAME;
use model::definition::Protocol;
use release::Manifest;

use crate::acceleration::{Acceleration, AccelerationChoice};
use crate::folder::names;
use crate::ports::OpenForward;

/// fw_cfg name of the settings.
pub const FW_CFG_SETTINGS: &str = "opt/org.ampoule/settings";

/// What a run is given.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Memory of the machine.
    pub memory: ByteSize,
    /// Virtual CPUs.
    pub cpus: u32,
    /// Size of the data disk when it is made; an existing one keeps its size.
    pub data: ByteSize,
    /// Host ports that lead to the appliance. All are on 127.0.0.1.
    pub forwards: Vec<Forward>,
    /// How it boots.
    pub boot: Boot,
    /// What is left when it ends.
    pub keep: Keep,
    /// How far the appliance's flushes go.
    pub flush: Flush,
    /// What happens to a system disk that was installed from another release.
    pub reinstall: Reinstall,
    /// Settings as TOML, handed over through fw_cfg.
    pub settings: Option<String>,
    /// A seed disk, see [`crate::seed`].
    pub seed: Option<PathBuf>,
    /// A disk that somebody brings, read only: a bundle, or a file system with one.
    pub brought: Option<PathBuf>,
    /// What it can be seen on, besides the serial log.
    pub screen: Screen,
    /// KVM or not.
    pub acceleration: AccelerationChoice,
    /// The host's KVM, [`crate::acceleration::DEVICE`].
    pub kvm_device: PathBuf,
    /// The hypervisor; looked up in PATH when it is a bare name.
    pub qemu: PathBuf,
    /// On KVM, a console and an agent that are silent for this long are taken for a KVM that does not work.
    pub silence: Duration,
    /// More arguments, as they are.
    pub extra: Vec<String>,
}

impl RunOptions {
    /// What the release asks for: its resources, and each of its ports at a host port that ordinary users may have.
    pub fn of(manifest: &Manifest) -> Self {
        let forwards = manifest.ports.iter().map(|port| Forward {
            // 443 -> 8443, 80 -> 8080.
            host: HostPort::Wished(if port.port < 1024 { port.port + 8000 } else { port.port }),
            guest: port.port,
            protocol: port.protocol,
        });
        Self {
            memory: manifest.resources.memory,
            cpus: manifest.resources.cpus,
            data: manifest.resources.data,
            forwards: forwards.collect(),
            boot: Boot::Uefi,
            keep: Keep::Data,
            flush: Flush::Disk,
            reinstall: Reinstall::UnlessPatched,
            settings: None,
            seed: None,
            brought: None,
            screen: Screen::None,
            acceleration: AccelerationChoice::Automatic,
            kvm_device: crate::acceleration::DEVICE.into(),
            qemu: "qemu-system-x86_64".into(),
            silence: Duration::from_secs(20),
            extra: Vec::new(),
        }
    }
}

/// A wish for one forwarded port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forward {
    /// On the host.
    pub host: HostPort,
    /// On the appliance.
    pub guest: u16,
    /// Transport.
    pub protocol: Protocol,
}

/// A port on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostPort {
    /// This one if it is free, otherwise any, with a note.
    Wished(u16),
    /// Any free one.
    Any,
}

/// How an appliance boots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boot {
    /// Firmware, boot loader, UKI: as on any hypervisor, and the only way to boot what a patch brought.
    Uefi,
    /// Kernel, initrd and command line are taken out of the release's UKI and started by QEMU: faster, and always the same
    /// release, so that an appliance can not be patched from inside.
    Direct,
}

/// What happens to a system disk that was installed from another release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reinstall {
    /// It is installed anew unless it was patched from inside; then the run is refused.
    UnlessPatched,
    /// It is installed anew, whatever is on it. Data stays.
    Always,
}

/// What is left in the VM folder when an appliance ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// The data disk, and the system disk until the release changes.
    Data,
    /// Nothing but the logs.
    Nothing,
}

/// How far a flush of the appliance goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// To the host's disk: what the appliance calls durable outlives the host's power.
    Disk,
    /// To the host's memory: outlives an appliance whose power is cut, not the host. For machines that are thrown away, which
    /// then need not wait for everything else that the host writes.
    Host,
}

/// What an appliance can be seen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Screen {
    /// No graphics at all.
    None,
    /// A graphics card nobody looks at: `screendump` of the monitor shows it.
    Unseen,
    /// A window.
    Window,
}

/// Everything [`plan`] needs that had to be found, made or chosen first.
#[derive(Clone, Debug)]
pub struct Found<'a> {
    /// How the processor is provided.
    pub acceleration: Acceleration,
    /// Ports that were free.
    pub forwards: &'a [OpenForward],
    /// Firmware code, for [`Boot::Uefi`].
    pub firmware_code: Option<&'a Path>,
    /// Kernel command line, for [`Boot::Direct`].
    pub command_line: &'a str,
    /// File name of the system disk, qcow2, in the VM folder.
    pub system_disk: &'a str,
    /// File name of the data disk, raw, in the VM folder.
    pub data_disk: &'a str,
}

/// A command that runs in the VM folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QemuCommand {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
}

/// QEMU's arguments. File names without a folder are in the VM folder, where QEMU runs.
pub fn plan(manifest: &Manifest, options: &RunOptions, found: &Found<'_>) -> QemuCommand {
    let mut arguments = Arguments(Vec::new());
    arguments.flag("-no-user-config").flag("-nodefaults");
    arguments.pair("-name", format!("ampoule-{}", escape(&manifest.identity.name)));
    processor(&mut arguments, options, found.acceleration);
    boot(&mut arguments, options, found);
    disks(&mut arguments, options, found);
    network(&mut arguments, found.forwards);
    channels(&mut arguments);
    if options.settings.is_some() {
        arguments.pair("-fw_cfg", format!("name={FW_CFG_SETTINGS},file={}", names::SETTINGS));
    }
    screen(&mut arguments, options.screen);
    arguments.0.extend(options.extra.iter().cloned());
    QemuCommand { program: options.qemu.clone(), arguments: arguments.0 }
}

fn processor(arguments: &mut Arguments, options: &RunOptions, acceleration: Acceleration) {
    arguments.pair("-machine", "q35");
    match acceleration {
        Acceleration::Kvm => arguments.pair("-accel", "kvm").pair("-cpu", "host"),
        Acceleration::Tcg => arguments.pair("-accel", "tcg,thread=multi").pair("-cpu", "max"),
    };
    arguments.pair("-smp", options.cpus.to_string());
    arguments.pair("-m", format!("{}M", options.memory.0 >> 20));
    arguments.pair("-rtc", "base=utc");
    arguments.pair("-device", "virtio-rng-pci");
    // A trial that hangs ends in a reset, and the boot loader takes the other slot. Reboots of the guest stay in this process.
    arguments.pair("-device", "i6300esb").pair("-action", "watchdog=reset");
}

fn boot(arguments: &mut Arguments, options: &RunOptions, found: &Found<'_>) {
    match options.boot {
        Boot::Uefi => {
            if let Some(code) = found.firmware_code {
                let code = escape(&code.to_string_lossy());
                arguments.pair("-drive", format!("if=pflash,unit=0,format=raw,readonly=on,file={code}"));
            }
            arguments
                .pair("-drive", format!("if=pflash,unit=1,format=raw,file={}", names::FIRMWARE_VARIABLES));
        }
        Boot::Direct => {
            arguments.pair("-kernel", names::KERNEL).pair("-initrd", names::INITRD);
            arguments.pair("-append", found.command_line);
        }
    }
}

fn disks(arguments: &mut Arguments, options: &RunOptions, found: &Found<'_>) {
    let (system, data) = (found.system_disk, found.data_disk);
    let flush = match (options.flush, options.keep) {
        (Flush::Disk, Keep::Data) => "",
        _ => ",cache.no-flush=on",
    };
    arguments.pair("-drive", format!("if=none,id=system,format=qcow2,discard=unmap{flush},file={system}"));
    // With `-kernel` QEMU has its own loader at boot index 0.
    let index = if options.boot == Boot::Uefi { ",bootindex=0" } else { "" };
    arguments.pair("-device", format!("virtio-blk-pci,drive=system,serial=ampoule-system{index}"));
    arguments.pair("-drive", format!("if=none,id=data,format=raw,discard=unmap{flush},file={data}"));
    arguments.pair("-device", "virtio-blk-pci,drive=data,serial=ampoule-data");
    for (id, file) in [("seed", &options.seed), ("brought", &options.brought)] {
        if let Some(file) = file {
            let file = escape(&file.to_string_lossy());
            arguments.pair("-drive", format!("if=none,id={id},format=raw,readonly=on,file={file}"));
            arguments.pair("-device", format!("virtio-blk-pci,drive={id},serial=ampoule-{id}"));
        }
    }
}

fn network(arguments: &mut Arguments, forwards: &[OpenForward]) {
    let mut netdev = "user,id=network".to_owned();
    for OpenForward { host, guest, protocol } in forwards {
        let protocol = match protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        };
        // 127.0.0.1 only: an appliance under test is nobody else's business.
        netdev.push_str(&format!(",hostfwd={protocol}:127.0.0.1:{host}-:{guest}"));
    }
    arguments.pair("-netdev", netdev);
    // No network boot, so no option ROM, which QEMU packages put elsewhere and which costs boot time.
    arguments.pair("-device", "virtio-net-pci,netdev=network,romfile=");
}

fn channels(arguments: &mut Arguments) {
    arguments.pair("-chardev", format!("file,id=serial,path={}", names::SERIAL_LOG));
    arguments.pair("-serial", "chardev:serial");
    arguments.pair("-chardev", format!("socket,id=monitor,path={},server=on,wait=off", names::MONITOR));
    arguments.pair("-mon", "chardev=monitor,mode=control");
    arguments.pair("-device", "virtio-serial-pci,id=ports");
    arguments.pair("-chardev", format!("socket,id=control,path={},server=on,wait=off", names::GUEST));
    arguments.pair(
        "-device",
        format!("virtserialport,bus=ports.0,id=control-port,chardev=control,name={PORT_NAME}"),
    );
}

fn screen(arguments: &mut Arguments, screen: Screen) {
    match screen {
        Screen::None => arguments.pair("-display", "none"),
        Screen::Unseen => arguments.pair("-display", "none").pair("-device", "VGA"),
        Screen::Window => {
            arguments.pair("-display", "gtk").pair("-device", "VGA").pair("-device", "qemu-xhci")
        }
    };
    if screen == Screen::Window {
        arguments.pair("-device", "usb-kbd");
    }
}

struct Arguments(Vec<String>);

impl Arguments {
    fn flag(&mut self, flag: &str) -> &mut Self {
        self.0.push(flag.to_owned());
        self
    }

    fn pair(&mut self, flag: &str, value: impl Into<String>) -> &mut Self {
        self.0.push(flag.to_owned());
        self.0.push(value.into());
        self
    }
}

/// In QEMU's options a comma ends a value unless it is doubled.
fn escape(text: &str) -> String {
    text.replace(',', ",,")
}

#[cfg(test)]
mod tests;
