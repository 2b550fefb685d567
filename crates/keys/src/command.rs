//! A signer that is a command: how a hardware token, an HSM or a cloud's key service signs for us.
//!
//! The message is on the command's standard input; its signature, or the base64 of it, is on its standard output: 64 bytes of an Ed25519 key;
//! DER of an ECDSA key, or the 64 bytes of r and s that PKCS#11 has. The public key is in the environment variable [`PUBLIC_KEY_VARIABLE`],
//! so that one script can serve several keys. Standard error stays the person's, for prompts. What a command answers is believed only when it
//! verifies.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::ecdsa::{self, EcdsaKey};
use crate::role::{RoleKey, RoleSign};
use crate::{PublicKey, Sign, SignError, Signature};

/// Where a command finds which key is meant: 64 hexadecimal digits of an Ed25519 key, PEM of an ECDSA key.
pub const PUBLIC_KEY_VARIABLE: &str = "AMPOULE_PUBLIC_KEY";
/// Most bytes of an answer. Stops a command that prints without end.
pub const ANSWER_LIMIT: u64 = 4 << 10;
/// How long a command may take: a person may have to find a token and touch it. Stops a device that hangs.
pub const TIME_LIMIT: Duration = Duration::from_secs(120);

/// How often a command is asked whether it has ended.
const PAUSE: Duration = Duration::from_millis(10);

/// Whoever signs behind a command. With a [`PublicKey`] it can [`Sign`]; with an [`EcdsaKey`] it signs for roles only.
#[derive(Clone, Debug)]
pub struct CommandSigner<K> {
    public: K,
    program: OsString,
    arguments: Vec<OsString>,
    limit: Duration,
}

impl<K: Display> CommandSigner<K> {
    /// The signer of `public` behind a program, which is started without a shell.
    pub fn new(
        public: K,
        program: impl Into<OsString>,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> Self {
        let arguments = arguments.into_iter().map(Into::into).collect();
        Self { public, program: program.into(), arguments, limit: TIME_LIMIT }
    }

    /// The same signer with another time limit.
    pub fn with_limit(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    fn failed(&self, why: impl Display) -> SignError {
        SignError(format!("the signing command `{}` {why}", self.program.to_string_lossy()))
    }

    /// What the command answers, once it verifies. `readings` are what bytes of it may be as a signature.
    fn signature<S>(
        &self,
        message: &[u8],
        forms: &str,
        readings: impl Fn(&[u8]) -> Vec<S>,
        verifies: impl Fn(&S) -> bool,
    ) -> Result<S, SignError> {
        let answer = self.answer(message)?;
        let mut signatures = readings(&answer);
        // `openssl base64` breaks lines.
        let base64: Vec<u8> = answer.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
        if let Ok(decoded) = STANDARD.decode(base64) {
            signatures.extend(readings(&decoded));
        }
        if signatures.is_empty() {
            return Err(
                self.failed(format_args!("printed no signature: {forms}, or base64 of it, is expected"))
            );
        }
        let good = signatures.into_iter().find(verifies);
        good.ok_or_else(|| self.failed("signed with another key than this one, or something else"))
    }

    /// Starts the command, and waits for what it answers. It is not left running.
    fn answer(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env(PUBLIC_KEY_VARIABLE, self.public.to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child =
            command.spawn().map_err(|error| self.failed(format_args!("can not be started: {error}")))?;
        let answer = self.ask(&mut child, message);
        if answer.is_err() {
            // It may have ended by itself.
            drop(child.kill());
            drop(child.wait());
        }
        answer
    }

    /// What the command printed, once it has ended well.
    fn ask(&self, child: &mut Child, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let end = Instant::now() + self.limit;
        let mut input = child.stdin.take().expect("standard input is a pipe");
        let message = message.to_vec();
        // A command that does not read its input is judged by what it answers.
        thread::spawn(move || drop(input.write_all(&message)));
        let output = child.stdout.take().expect("standard output is a pipe");
        let (answers, answer) = mpsc::channel();
        thread::spawn(move || {
            let mut bytes = Vec::new();
            let read = output.take(ANSWER_LIMIT + 1).read_to_end(&mut bytes);
            drop(answers.send(read.map(|_| bytes)));
        });
        let late = || self.failed(format_args!("did not answer within {} s", self.limit.as_secs_f32()));
        let bytes = match answer.recv_timeout(self.limit) {
            Ok(read) => read.map_err(|error| self.failed(format_args!("can not be read: {error}")))?,
            Err(_) => return Err(late()),
        };
        if bytes.len() as u64 > ANSWER_LIMIT {
            return Err(
                self.failed(format_args!("printed more than {ANSWER_LIMIT} bytes instead of a signature"))
            );
        }
        loop {
            match child.try_wait() {
                Err(error) => return Err(self.failed(format_args!("can not be waited for: {error}"))),
                Ok(Some(status)) if status.success() => return Ok(bytes),
                Ok(Some(status)) => return Err(self.failed(format_args!("failed: {status}"))),
                Ok(None) if Instant::now() >= end => return Err(late()),
                Ok(None) => thread::sleep(PAUSE),
            }
        }
    }
}

impl Sign for CommandSigner<PublicKey> {
    fn public(&self) -> PublicKey {
        self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Signature, SignError> {
        let readings = |bytes: &[u8]| bytes.try_into().ok().map(Signature).into_iter().collect();
        self.signature(message, "64 bytes", readings, |signature| self.public.verifies(message, signature))
    }
}

impl RoleSign for CommandSigner<EcdsaKey> {
    fn role_key(&self) -> RoleKey {
        RoleKey::EcdsaP256(self.public.clone())
    }

    fn sign_document(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let verifies = |signature: &Vec<u8>| self.public.verifies(message, signature);
        self.signature(message, "DER, or the 64 bytes of r and s", ecdsa::readings, verifies)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SecretKey;

    fn key() -> SecretKey {
        SecretKey::from_seed(&[5; 32])
    }

    fn shell(script: &str) -> CommandSigner<PublicKey> {
        CommandSigner::new(key().public(), "sh", ["-c", script]).with_limit(Duration::from_secs(5))
    }

    fn refusal(script: &str) -> String {
        shell(script).sign(b"message").expect_err("is refused").to_string()
    }

    #[test]
    fn base64_and_raw_answers_are_signatures_once_they_verify() {
        let signature = key().sign(b"message").expect("signs");
        let base64 = STANDARD.encode(signature.0);
        assert_eq!(
            shell(&format!("cat > /dev/null; echo {base64}")).sign(b"message").expect("signs"),
            signature
        );
        let raw = format!("cat > /dev/null; echo {base64} | base64 -d");
        assert_eq!(shell(&raw).sign(b"message").expect("signs"), signature);
        let said =
            shell(&format!("echo {base64}")).sign(b"another message").expect_err("is refused").to_string();
        assert!(said.contains("signed with another key than"), "{said}");
    }

    #[test]
    fn the_message_and_the_key_reach_the_command() {
        let public = key().public();
        let script = format!(
            "test \"$AMPOULE_PUBLIC_KEY\" = {public} && test \"$(cat)\" = message || exit 3; echo ok"
        );
        let said = refusal(&script);
        assert!(said.contains("printed no signature"), "{said}");
    }

    #[test]
    fn a_command_that_fails_hangs_or_prints_without_end_is_refused_and_ended() {
        assert!(refusal("exit 9").contains("failed: exit status: 9"));
        assert!(refusal("yes").contains("printed more than 4096 bytes"));
        assert!(refusal("echo AAAA").contains("printed no signature"));
        let begin = Instant::now();
        let hanging = shell("exec sleep 30").with_limit(Duration::from_millis(200));
        assert!(
            hanging
                .sign(b"message")
                .expect_err("is refused")
                .to_string()
                .contains("did not answer within 0.2 s")
        );
        // Its output is closed, and it goes on.
        let lingering = shell("exec >&-; exec sleep 30").with_limit(Duration::from_millis(200));
        assert!(lingering.sign(b"message").is_err());
        assert!(begin.elapsed() < Duration::from_secs(10));
        let missing = CommandSigner::new(key().public(), "/nowhere/sign", [""; 0]);
        assert!(missing.sign(b"message").expect_err("is refused").to_string().contains("can not be started"));
    }
}
