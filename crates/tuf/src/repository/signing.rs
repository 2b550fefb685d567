//! The stages of a document on its way to being signed.

use keys::SignError;
use keys::role::RoleSign;
use sha2::{Digest as _, Sha256};

use super::basis::Origin;
use crate::document::{Document, Signature};
use crate::error::{Error, ErrorKind};
use crate::hashes::hex;
use crate::key::{Key, KeyId};
use crate::metadata::{Body, ImpossibleRoot, Root, Snapshot, Targets, Timestamp, TopRole, signed_of};
use crate::threshold::Authority;

/// A document that nobody signed.
#[derive(Clone, Debug)]
#[must_use = "sign or discard"]
pub struct Unsigned<B>(Partial<B>);

/// A document that some signed, and not enough.
#[derive(Clone, Debug)]
#[must_use = "sign or discard"]
pub struct Partial<B> {
    body: B,
    document: Document,
    authority: Authority,
}

/// A document that everybody signed who has to. More may.
#[derive(Clone, Debug)]
pub struct Complete<B>(Partial<B>);

/// Where a document stands after a signature.
#[derive(Clone, Debug)]
#[must_use = "sign or discard"]
pub enum Stage<B> {
    /// More signatures are needed.
    Partial(Partial<B>),
    /// It can be published.
    Complete(Complete<B>),
}

/// Signatures that a document still needs from one party.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Who names the keys: "root version 3".
    pub by: String,
    /// How many more it takes.
    pub needed: u64,
    /// Whose would count.
    pub keys: Vec<KeyId>,
}

/// A document could not be signed, or could not go on.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// The key has no say in this document.
    #[error("the key {key} has no say in this document")]
    NoSay {
        /// Whose signature it would have been.
        key: KeyId,
    },
    /// The signer failed.
    #[error("the key {key} did not sign")]
    Signer {
        /// Whose signature it would have been.
        key: KeyId,
        /// Why.
        #[source]
        source: SignError,
    },
    /// The signer returned a signature that is not its key's.
    #[error("the signer of {key} returned a signature that is not this key's")]
    WrongSignature {
        /// Whose it should have been.
        key: KeyId,
    },
    /// A signature in a partial document is good for nobody who has a say.
    #[error(
        "the signature with the key {keyid} is not good, or not asked for: the document may have been changed after it was signed"
    )]
    StraySignature {
        /// Whose it says it is.
        keyid: String,
    },
    /// A root that could never be followed.
    #[error(transparent)]
    Impossible(#[from] ImpossibleRoot),
    /// A root that does not follow the one before it.
    #[error("a root of version {found} does not follow one of version {before}")]
    NotNext {
        /// The version of the root before it; 0 when there is none.
        before: u64,
        /// Its version.
        found: u64,
    },
    /// The role is not delegated to.
    #[error("nobody delegates to the role `{role}`")]
    NotDelegated {
        /// The role.
        role: String,
    },
    /// A list that does not say over what it was prepared.
    #[error("it was not prepared to be signed by several people: it does not say over which list")]
    NoBasis,
    /// A list that would be older than the one it was prepared over.
    #[error("a list of version {found} does not follow one of version {before}")]
    NotAfter {
        /// The version of the list before it.
        before: u64,
        /// Its version.
        found: u64,
    },
    /// A list for another root.
    #[error("it was prepared for {}, and here is {}", of("root", found), of("root", given))]
    OtherRoot {
        /// The root that it names.
        found: Origin,
        /// The root at hand.
        given: Origin,
    },
    /// A list that follows another one.
    #[error("it was prepared over {}, and here is {}", of_list(found), of_list(given))]
    OtherBefore {
        /// The list that it names.
        found: Option<Origin>,
        /// The list at hand.
        given: Option<Origin>,
    },
    /// More signatures are needed.
    #[error("signatures are missing: {} more, of keys that {} names", missing.needed, missing.by)]
    Incomplete {
        /// Whose.
        missing: Missing,
    },
    /// A document can not be read.
    #[error(transparent)]
    Document(#[from] Error),
}

/// `root version 2 (1a2b3c4d...)`: two of the same version can be told apart.
fn of(what: &str, Origin { version, sha256 }: &Origin) -> String {
    // It may be a stranger's text.
    let begins: String = sha256.chars().filter(char::is_ascii_hexdigit).take(8).collect();
    format!("{what} version {version} ({begins}...)")
}

fn of_list(list: &Option<Origin>) -> String {
    list.as_ref().map_or_else(|| "no list".to_owned(), |list| of("list", list))
}

/// Documents of roles that a root names keys for.
pub trait TopLevel: Body {
    /// The role.
    const ROLE: TopRole;
}

impl TopLevel for Targets {
    const ROLE: TopRole = TopRole::Targets;
}

impl TopLevel for Snapshot {
    const ROLE: TopRole = TopRole::Snapshot;
}

impl TopLevel for Timestamp {
    const ROLE: TopRole = TopRole::Timestamp;
}

impl Unsigned<Root> {
    /// A root that follows another one; the first follows none. It needs signatures of both.
    pub fn root(before: Option<&Root>, root: Root) -> Result<Self, SigningError> {
        let authority = root_authority(before, &root)?;
        Ok(Self::new(root, authority))
    }
}

fn root_authority(before: Option<&Root>, root: &Root) -> Result<Authority, SigningError> {
    root.check_possible()?;
    let version = before.map_or(0, |before| before.version);
    if version.checked_add(1) != Some(root.version) {
        return Err(SigningError::NotNext { before: version, found: root.version });
    }
    Ok(Authority::root(before, root))
}

impl<B: TopLevel> Unsigned<B> {
    /// A document of a top-level role.
    pub fn top_level(root: &Root, body: B) -> Self {
        Self::new(body, Authority::top_level(root, B::ROLE))
    }
}

impl Unsigned<Targets> {
    /// A document of a delegated role.
    pub fn delegated(from: &Targets, by: &str, role: &str, body: Targets) -> Result<Self, SigningError> {
        let authority = Authority::delegated(from, by, role);
        let authority = authority.ok_or_else(|| SigningError::NotDelegated { role: role.to_owned() })?;
        Ok(Self::new(body, authority))
    }
}

impl<B: Body> Unsigned<B> {
    fn new(body: B, authority: Authority) -> Self {
        let document = Document::new(signed_of(&body), Vec::new());
        Self(Partial { body, document, authority })
    }

    /// The first signature.
    pub fn sign(self, signer: &dyn RoleSign) -> Result<Stage<B>, SigningError> {
        self.0.sign(signer)
    }

    /// Signs with all of these, who have to be enough.
    pub fn sign_by(self, signers: &[&dyn RoleSign]) -> Result<Complete<B>, SigningError> {
        let mut partial = self.0;
        for signer in signers {
            partial = partial.signed(*signer)?;
        }
        partial.stage().complete()
    }

    /// The document as it is carried to the first signer.
    pub fn into_partial(self) -> Partial<B> {
        self.0
    }
}

impl<B: Body> Partial<B> {
    /// Reads a document that is on its way. Every signature in it MUST be good, and of somebody who has a say: a document that was
    /// changed on its way is found out by the next signer.
    pub fn read(bytes: &[u8], authority: Authority) -> Result<Stage<B>, SigningError> {
        let wrong = |kind: ErrorKind| Error::new(B::TYPE, kind);
        let document = Document::parse(bytes).map_err(wrong)?;
        let body = document.body().map_err(wrong)?;
        // Written anew: members of the file beside `signed` and `signatures` are not ours to carry on.
        let document = Document::new(document.signed().clone(), document.signatures().to_vec());
        let message = document.message();
        for signature in document.signatures() {
            let is_good = authority.parties().iter().any(|party| {
                let key = signature.keyid.parse().ok().and_then(|id: KeyId| party.keys.get(&id));
                key.is_some_and(|key| key.verifies(&message, &signature.sig))
            });
            if !is_good {
                // It is a stranger's text, and is shown.
                let keyid = signature.keyid.chars().take(64).flat_map(char::escape_debug).collect();
                return Err(SigningError::StraySignature { keyid });
            }
        }
        Ok(Self { body, document, authority }.stage())
    }

    /// One more signature. One of the same key before takes its place.
    pub fn sign(self, signer: &dyn RoleSign) -> Result<Stage<B>, SigningError> {
        Ok(self.signed(signer)?.stage())
    }

    fn signed(mut self, signer: &dyn RoleSign) -> Result<Self, SigningError> {
        let public = signer.role_key();
        let key = Key::of(public.clone()).id();
        let mut ids: Vec<KeyId> = Vec::new();
        for party in self.authority.parties() {
            for (id, other) in &party.keys {
                if other.is_key(&public) && !ids.contains(id) {
                    ids.push(id.clone());
                }
            }
        }
        if ids.is_empty() {
            return Err(SigningError::NoSay { key });
        }
        let message = self.document.message();
        let signature = match signer.sign_document(&message) {
            Ok(signature) => signature,
            Err(source) => return Err(SigningError::Signer { key, source }),
        };
        if !public.verifies(&message, &signature) {
            return Err(SigningError::WrongSignature { key });
        }
        let mut signatures = self.document.signatures().to_vec();
        for id in ids {
            signatures.retain(|other| other.keyid != id.as_str());
            signatures.push(Signature { keyid: id.to_string(), sig: hex(&signature) });
        }
        // Sorted: the same signatures give the same bytes, in whatever order they were made.
        signatures.sort_by(|one, other| one.keyid.cmp(&other.keyid));
        self.document = Document::new(self.document.signed().clone(), signatures);
        Ok(self)
    }

    fn stage(self) -> Stage<B> {
        if self.missing().is_empty() { Stage::Complete(Complete(self)) } else { Stage::Partial(self) }
    }

    /// Whose signatures are needed still.
    pub fn missing(&self) -> Vec<Missing> {
        let message = self.document.message();
        let parties = self.authority.parties().iter();
        let missing = parties.map(|party| {
            let signers = party.signers(&self.document, &message);
            let needed = party.threshold.saturating_sub(signers.len() as u64);
            let keys = party.keys.keys().filter(|id| !signers.contains(id)).cloned().collect();
            Missing { by: party.by.clone(), needed, keys }
        });
        missing.filter(|missing| missing.needed > 0).collect()
    }

    /// What it says: to be shown to whoever is asked to sign.
    pub fn body(&self) -> &B {
        &self.body
    }

    /// The file that is carried to the next signer.
    pub fn bytes(&self) -> &[u8] {
        self.document.bytes()
    }
}

impl Partial<Root> {
    /// Reads a root that is on its way, over the root before it.
    pub fn read_root(bytes: &[u8], before: Option<&Root>) -> Result<Stage<Root>, SigningError> {
        let read = || Document::parse(bytes)?.body::<Root>();
        let root = read().map_err(|kind| Error::new(Root::TYPE, kind))?;
        let authority = root_authority(before, &root)?;
        Self::read(bytes, authority)
    }
}

impl<B: Body> Stage<B> {
    /// The complete document, or whose signatures are needed still.
    pub fn complete(self) -> Result<Complete<B>, SigningError> {
        match self {
            Self::Complete(complete) => Ok(complete),
            Self::Partial(partial) => {
                let missing = partial.missing().remove(0);
                Err(SigningError::Incomplete { missing })
            }
        }
    }

    /// One more signature, also when there are enough: another key may be lost some day.
    pub fn sign(self, signer: &dyn RoleSign) -> Result<Self, SigningError> {
        match self {
            Self::Partial(partial) => partial.sign(signer),
            Self::Complete(complete) => complete.sign(signer).map(Self::Complete),
        }
    }

    /// Whose signatures are needed still.
    pub fn missing(&self) -> Vec<Missing> {
        self.partial().missing()
    }

    /// The ids of the keys that signed.
    pub fn signed_by(&self) -> Vec<&str> {
        self.partial().document.signatures().iter().map(|signature| signature.keyid.as_str()).collect()
    }

    /// What it says.
    pub fn body(&self) -> &B {
        &self.partial().body
    }

    /// The file.
    pub fn bytes(&self) -> &[u8] {
        self.partial().bytes()
    }

    fn partial(&self) -> &Partial<B> {
        match self {
            Self::Partial(partial) | Self::Complete(Complete(partial)) => partial,
        }
    }
}

impl<B: Body> Complete<B> {
    /// Reads a document that was published. Says nothing about whether it expired.
    pub(super) fn read(bytes: &[u8], authority: Authority) -> Result<Self, ErrorKind> {
        let document = Document::parse(bytes)?;
        let body = document.body()?;
        authority.check(&document)?;
        Ok(Self(Partial { body, document, authority }))
    }

    /// One more signature than is needed: another key may be lost some day.
    pub fn sign(self, signer: &dyn RoleSign) -> Result<Self, SigningError> {
        Ok(Self(self.0.signed(signer)?))
    }

    /// What it says.
    pub fn body(&self) -> &B {
        &self.0.body
    }

    /// The file.
    pub fn bytes(&self) -> &[u8] {
        self.0.bytes()
    }

    /// Which document it is, whoever signed it.
    pub fn origin(&self) -> Origin {
        let sha256 = hex(&Sha256::digest(self.document().message()));
        Origin { version: self.body().version(), sha256 }
    }

    pub(super) fn document(&self) -> &Document {
        &self.0.document
    }
}
