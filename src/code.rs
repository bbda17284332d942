//! Every error code of the gateway in one list: what it is called and what to do about it.

use std::fmt;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $title:literal, $hint:literal;)+) => {
        /// A stable error code, as it appears in receipts, logs, traces and on the command line.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[$doc])* $variant),+ }

        impl Code {
            pub const ALL: &'static [Code] = &[$(Code::$variant),+];
            pub fn as_str(self) -> &'static str { match self { $(Code::$variant => $code),+ } }
            /// One line, for a person.
            pub fn title(self) -> &'static str { match self { $(Code::$variant => $title),+ } }
            /// What to do about it.
            pub fn hint(self) -> &'static str { match self { $(Code::$variant => $hint),+ } }
            pub fn parse(code: &str) -> Option<Code> {
                match code { $($code => Some(Code::$variant),)+ _ => None }
            }
        }
    };
}

codes! {
    // 1xxx: the message cannot be taken in (envelope)
    NotACloudEvent = "KP-1001", "not a CloudEvent", "send structured JSON (application/cloudevents+json) or binary mode with cloudEvents_* headers";
    MissingAttribute = "KP-1002", "required CloudEvents attribute is missing or malformed", "set id, source, type and specversion 1.0";
    UnknownType = "KP-1003", "unknown message type", "use a type that the gateway's catalogue lists for your role";
    UnknownSender = "KP-1004", "sender is not proven", "publish with the AMQP user-id property set to your own broker user";
    SenderMismatch = "KP-1005", "message claims another sender than the connection proves", "source must hold the OIN that belongs to the broker user";
    TypeNotAllowed = "KP-1006", "this party may not send this message type", "see the catalogue for who sends what";
    PersonalDataInAttribute = "KP-1007", "personal number in a context attribute", "personal data belongs in the encrypted data, never in a context attribute";
    TooLarge = "KP-1008", "message is too large", "stay below the size limit of the gateway";
    WrongEncoding = "KP-1009", "wrong character encoding", "send UTF-8";
    ReplayedWithOtherContent = "KP-1010", "same source and id, other content", "give a changed message a new id";
    SignatureMissing = "KP-1011", "the signature is missing", "sign the data and put the detached JWS into the attribute `signature`";
    SignatureMalformed = "KP-1012", "the signature is not a detached JWS as it must be", "header..signature in base64url, where the header has alg, kid and ce";
    SignatureCritical = "KP-1013", "the signature has a critical header that is not understood", "in `crit` only b64 may stand (RFC 7797)";
    SignatureAlgorithm = "KP-1014", "the signature has an algorithm that is not allowed", "EdDSA, ES256 or PS256, as it belongs to the key";
    SignatureKeyUnknown = "KP-1015", "signed with an unknown key", "`kid` must name a key of your key set that the gateway has; have a new key put into the partner directory first";
    SignatureKeyUse = "KP-1016", "signed with a key that is not for signing", "use a key whose `use` is sig";
    SignatureKeyNotNow = "KP-1017", "signed with a key that is not valid now", "use a key that is valid: it has not begun, has expired or was revoked";
    SignatureWrong = "KP-1018", "the signature does not fit the content", "sign the very bytes of the data that are sent";
    SignedAttributesDiffer = "KP-1019", "the event has other attributes than those that were signed", "`ce` in the signed header names every attribute of the event but signature, traceparent and tracestate";
    // 2xxx: the content is not valid
    NotJson = "KP-2001", "not well-formed JSON", "send one JSON document in UTF-8 without duplicate keys";
    NotXml = "KP-2002", "not well-formed XML", "send one well-formed XML document in UTF-8";
    ForbiddenXml = "KP-2003", "forbidden XML construct", "send no DOCTYPE, entities or processing instructions";
    TooDeep = "KP-2004", "nested too deep or too many elements", "stay within the limits of depth and element count";
    MissingField = "KP-2005", "a required field is missing", "add the field";
    ExtraField = "KP-2006", "a field that is not in the schema", "leave the field out: only listed fields are accepted";
    WrongType = "KP-2007", "a field has the wrong form", "see the schema for the form of the field";
    InvalidBsn = "KP-2008", "not a valid BSN", "nine digits that pass the eleven-test, not all zero";
    UnknownGemeentecode = "KP-2009", "gemeentecode is unknown or not in force on that date", "use a code of the CBS table that is in force on the date";
    InvalidDate = "KP-2010", "not a valid date", "use a real calendar date in the form that the schema asks";
    Inconsistent = "KP-2011", "fields contradict each other", "see the place for the fields that disagree";
    UnknownCode = "KP-2012", "value is not in the code table", "use a value of the code table";
    ForeignGemeente = "KP-2013", "a municipality asks about its own inhabitants only", "gemeentecode must be the sender's own";
    TooManyItems = "KP-2014", "a list with too many items", "send it as several lists";
    // 3xxx: policy
    NoGround = "KP-3001", "no ground permits sharing", "see the policy for the grounds of this recipient";
    Forbidden = "KP-3002", "a rule forbids sharing", "see the named rule";
    AssessmentNeeded = "KP-3003", "a human assessment is needed first", "record the named assessment; the message then goes on";
    PolicyError = "KP-3004", "the policy could not be evaluated", "treated as deny; report it to the owner of the policy";
    NotAddressable = "KP-3005", "recipient is not connected", "add the party and its endpoint to the partner directory, then replay";
    NothingToShare = "KP-3006", "nothing is left to share", "the permitted categories hold no data";
    Superseded = "KP-3007", "a newer notification was processed", "no action: the newer one counts";
    Held = "KP-3008", "too early: held until the date on which it may be shared", "no action: it is decided anew on that date";
    Recorded = "KP-3009", "kept as a fact", "no action: it counts from now on in every decision about the person";
    Split = "KP-3010", "a list, split into messages of their own", "no action: each item has its own outcome and its own receipt";
    InTurn = "KP-3011", "taken up in its turn", "no action: an item of a list, or what follows another message about the same person, goes on in a moment";
    // 4xxx: facts
    FactsUnavailable = "KP-4001", "the facts could not be had", "the message waits and is retried; check the connection to IRIS";
    FactsInvalid = "KP-4002", "the facts source gave an invalid answer", "the message waits and is retried; check IRIS";
    FactsChanged = "KP-4003", "the facts changed before it went out", "no action: it is decided anew at once";
    // 5xxx: translation and delivery
    MappingFailed = "KP-5001", "the message could not be translated", "check the mapping of this recipient; then replay";
    DeliveryFailed = "KP-5002", "the recipient did not take the message", "it is retried; check the recipient's endpoint";
    Unroutable = "KP-5003", "the recipient's queue does not exist", "declare the topology (it is exported by the gateway); then it is retried";
    AttemptsExhausted = "KP-5004", "given up for now after the last attempt", "a person decides: parked replay or parked discard";
    RecipientRefused = "KP-5005", "the recipient refuses the message for good", "a person decides: parked replay or parked discard";
    BrokerUnavailable = "KP-5006", "the broker cannot be reached", "the gateway keeps trying; check the broker";
    Discarded = "KP-5007", "discarded by a person", "see the ledger for who and why";
    QueueUnavailable = "KP-5008", "a partner's queue cannot be consumed", "declare the topology (it is exported by the gateway) and let the gateway read the queue; it keeps trying";
    RecipientBusy = "KP-5009", "the recipient takes nothing or no more now", "it waits, and goes out in order once the recipient can take it; if it lasts, check the recipient's endpoint";
    WaitedTooLong = "KP-5010", "the recipient took nothing for too long", "a person decides: parked replay or parked discard";
    NoRecipientKey = "KP-5011", "there is no valid key to encrypt to the recipient with", "put a key of the recipient into its key set, reload, then: parked replay";
    ProtectionChanged = "KP-5012", "the recipient's keys or what it wants encrypted changed before it went out", "no action: it is made anew at once";
    // 6xxx: the ledger and receipts
    LedgerUnavailable = "KP-6001", "the ledger cannot be written", "nothing is accepted or sent until it can; check disk space and permissions";
    ReceiptInvalid = "KP-6002", "the receipt does not verify", "check that the key set belongs to the issuer and that the receipt is unchanged";
    PayloadUnreadable = "KP-6003", "the stored payload cannot be opened", "put the key that it names back among those of the ledger, restart, then replay it";
    LedgerInUse = "KP-6010", "another gateway has this ledger", "a file is for one gateway; several need a database server ([ledger] url), and there each a `node` name of its own";
    LeaseLost = "KP-6011", "what this node had in hand went to others", "no action: it goes on under a new number; if it lasts, check the connection to the database and the load of this machine";
    LogBehind = "KP-6020", "the disclosure log is behind", "records wait to come into the tree; see the log for why, and run `ketenpoort ledger verify`";
    LogChanged = "KP-6021", "the ledger does not say what the disclosure log says", "see the place; compare with a backup and with heads kept elsewhere, and find out who could write the ledger";
    LogHeadWrong = "KP-6022", "the head of the disclosure log does not verify", "check that the key set belongs to the gateway; else the log was rewritten";
    NotLogged = "KP-6023", "there is no such entry in the disclosure log", "a receipt is in it within a minute; one past its term is not any more";
    ProofInvalid = "KP-6024", "the proof does not verify", "check that receipt, proof and keys belong together";
    NotForgotten = "KP-6025", "the person cannot be forgotten yet", "the law asks to keep disclosures for four years; what waits must end first";
    LogDamaged = "KP-6026", "the disclosure log cannot grow", "its tree is not the one that was signed: run `ketenpoort ledger verify`";
    // 7xxx: files and configuration
    ConfigInvalid = "KP-7001", "the configuration is invalid", "see the place";
    PolicyInvalid = "KP-7002", "a policy file does not load", "see the place";
    SchemaInvalid = "KP-7003", "a schema file does not load", "see the place";
    MappingInvalid = "KP-7004", "a mapping file does not load", "see the place";
    DirectoryInvalid = "KP-7005", "the partner directory does not load", "see the place";
    CaseFailed = "KP-7006", "a case does not give what it expects", "see the place; either the case or the file is wrong";
    NotExercised = "KP-7007", "no case exercises this", "add a case beside it";
    CertificateInvalid = "KP-7010", "a certificate, key or authority does not load", "see the file that it names; while the gateway runs, the one before goes on until then";
    CertificateExpires = "KP-7011", "a certificate expires soon, or has", "put a new one in its place: it is used from the next connection on";
    NoWords = "KP-7008", "the glossary has no words for this", "add them to begrippen.yaml beside the policies, or to a file in the folder begrippen";
    KeySetInvalid = "KP-7009", "a partner's key set does not load", "see the place";
    // 80xx: the console
    NotAllowed = "KP-8000", "your role does not allow this", "ask who administers the console for the role that it takes";
    FormInvalid = "KP-8001", "the form does not hold any more", "open the page again and send it once more; the console takes forms of its own pages only";
    LoginLimited = "KP-8002", "too many attempts to log in", "wait as long as it says, then try again";
    LoginRefused = "KP-8003", "name or password is wrong", "try again; who lost his password asks who administers the console";
    ProviderFailed = "KP-8004", "the identity provider did not answer as it should", "check [console.oidc] and that the gateway reaches the provider; the log says what was wrong";
    ChangedMeanwhile = "KP-8005", "somebody or something was first", "look at it again: it is not as it was on the page any more";
    NotFound = "KP-8006", "it is not there", "check the number; what is past its term is forgotten";
    NoRole = "KP-8007", "you have no role here", "ask who administers the identity provider for one of the groups in [console.oidc.roles]";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl serde::Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.as_str())
    }
}

impl<'de> serde::Deserialize<'de> for Code {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let code = <std::borrow::Cow<'de, str>>::deserialize(d)?;
        Code::parse(&code).ok_or_else(|| serde::de::Error::custom("unknown error code"))
    }
}
