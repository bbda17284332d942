//! Every word of the console in Dutch and in English, side by side. Dutch first: who works here works in Dutch.

use super::access::{Power, Role};
use crate::code::Code;
use crate::facts::SoortBeoordeling;
use crate::outcome::Outcome;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lang {
    Nl,
    En,
}

impl Lang {
    pub fn code(self) -> &'static str {
        match self {
            Lang::Nl => "nl",
            Lang::En => "en",
        }
    }
    pub fn parse(code: &str) -> Option<Lang> {
        [Lang::Nl, Lang::En].into_iter().find(|lang| lang.code() == code)
    }
    pub fn other(self) -> Lang {
        match self {
            Lang::Nl => Lang::En,
            Lang::En => Lang::Nl,
        }
    }
}

/// What to say, in one of the languages.
#[derive(Clone, Copy, Debug)]
pub struct Text(pub Lang);

macro_rules! texts {
    ($($name:ident: $nl:literal, $en:literal;)+) => {
        impl Text {
            $(pub fn $name(self) -> &'static str { self.pick($nl, $en) })+
        }
    };
}

texts! {
    // Around every page
    skip: "Naar de inhoud", "Skip to content";
    menu: "Hoofdmenu", "Main menu";
    logged_in_as: "Aangemeld als", "Logged in as";
    log_out: "Afmelden", "Log out";
    in_other_language: "English", "Nederlands";
    overview: "Overzicht", "Overview";
    message: "Bericht", "Message";
    queue: "Wachtrij", "Queue";
    jobs: "Opdrachten", "Jobs";
    assessments: "Beoordelingen", "Assessments";
    policy: "Beleid", "Policy";
    disclosures: "Inzage", "Disclosures";
    audit: "Logboek", "Audit log";
    users: "Beheer", "Administration";
    back: "Terug", "Back";
    all: "alle", "all";
    yes: "ja", "yes";
    no: "nee", "no";
    unknown: "onbekend", "unknown";
    what_to_do: "Wat te doen", "What to do";
    error: "Fout", "Error";
    // Logging in
    login: "Aanmelden", "Log in";
    name: "Naam", "Name";
    password: "Wachtwoord", "Password";
    login_with_provider: "Aanmelden met het account van uw organisatie", "Log in with your organisation's account";
    login_or: "Of met een naam en wachtwoord van deze installatie:", "Or with a name and password of this installation:";
    login_stale: "De aanmelding was hier niet begonnen, of te lang geleden. Begin opnieuw.",
                 "The login was not begun here, or too long ago. Begin again.";
    arrived: "U bent aangemeld", "You are logged in";
    go_on: "Verder naar de console", "Go on to the console";
    // Overview
    now_red: "Wat aandacht vraagt", "What needs attention";
    nothing_red: "Niets vraagt nu aandacht.", "Nothing needs attention now.";
    parts: "Onderdelen", "Parts";
    part: "Onderdeel", "Part";
    state: "Toestand", "State";
    up: "goed", "up";
    down: "buiten werking", "down";
    degraded: "beperkt", "degraded";
    broker_intake: "Broker, ontvangst", "Broker, intake";
    broker_publish: "Broker, verzending", "Broker, publishing";
    ledger: "Grootboek", "Ledger";
    iris: "IRIS", "IRIS";
    waiting: "Wat wacht", "What waits";
    waits: "Wacht", "Waiting";
    count: "Aantal", "Count";
    oldest: "Oudste", "Oldest";
    partners: "Partners", "Partners";
    partner: "Partner", "Partner";
    flows: "Stromen", "Flows";
    flow: "Berichttype", "Message type";
    received_per_minute: "Ontvangen per minuut", "Received a minute";
    delivered_per_minute: "Afgeleverd per minuut", "Delivered a minute";
    stopped_per_minute: "Anders geëindigd of wachtend per minuut", "Ended otherwise or waiting, a minute";
    latency: "Gemiddeld onderweg", "Average time under way";
    over_minutes: "Snelheden zijn gemiddelden over de laatste vijf minuten van dit exemplaar van de poort.",
                  "Rates are averages over the last five minutes of this instance of the gateway.";
    refreshed: "Bijgewerkt", "Refreshed";
    refresh: "Vernieuwen", "Refresh";
    pause: "Niet meer vanzelf vernieuwen", "Stop refreshing by itself";
    resume: "Weer vanzelf vernieuwen", "Refresh by itself again";
    quiet_partners: "Partners waarvan niets kwam en waarvoor niets wacht, staan er niet bij.",
                    "Partners from which nothing came and for which nothing waits are left out.";
    // A message
    find: "Zoeken", "Find";
    find_message: "Zoek een bericht", "Find a message";
    find_label: "Bericht-id, trace-id of nummer van een ontvangstbewijs", "Message id, trace id or number of a receipt";
    find_hint: "Niet op een persoonsnummer: wat over iemand is verstrekt, staat onder Inzage.",
               "Not by a personal number: what was disclosed about a person is under Disclosures.";
    find_nothing: "Er is geen bericht met dit nummer. Wat over zijn termijn is, wordt vergeten.",
                  "There is no message with this number. What is past its term is forgotten.";
    find_personal: "Dit lijkt een persoonsnummer. Daarop wordt hier niet gezocht.",
                   "This looks like a personal number. Nothing is looked up by it here.";
    found_several: "Er zijn meer berichten met dit nummer", "There are several messages with this number";
    kind: "Type", "Type";
    from: "Van", "From";
    to: "Aan", "To";
    source: "Bron", "Source";
    id: "Id", "Id";
    received: "Ontvangen", "Received";
    trace: "Trace", "Trace";
    see_trace: "Bekijk de trace", "See the trace";
    delivery: "Aflevering", "Delivery";
    recipient: "Ontvanger", "Recipient";
    no_recipient: "geen ontvanger", "no recipient";
    role: "Rol", "Role";
    roles: "Rollen", "Roles";
    reason: "Reden", "Reason";
    attempts: "Pogingen", "Attempts";
    again_at: "Weer aan de beurt", "Taken up again";
    timeline: "Verloop", "Course";
    shared: "Gedeeld", "Shared";
    withheld: "Achtergehouden", "Withheld";
    category: "Categorie", "Category";
    rule: "Regel", "Rule";
    ground: "Grondslag", "Legal basis";
    status: "Status", "Status";
    why_not: "Waarom niet", "Why not";
    decision: "Besluit per categorie", "Decision per category";
    no_decision: "Over dit bericht is niets besloten.", "Nothing was decided about this message.";
    notes: "Opmerkingen", "Notes";
    receipt: "Ontvangstbewijs", "Receipt";
    receipt_signed: "Ondertekend", "Signed";
    receipt_verifies: "De handtekening klopt met de gepubliceerde sleutels.",
                      "The signature agrees with the published keys.";
    receipt_proof: "In het verstrekkingenlogboek", "In the disclosure log";
    receipt_proof_open: "Het bewijs dat het erin staat (JSON)", "The proof that it is in there (JSON)";
    receipt_wrong: "De handtekening klopt niet met de gepubliceerde sleutels.",
                   "The signature does not agree with the published keys.";
    receipt_as_sent: "Het bewijs zelf (JWS)", "The receipt itself (JWS)";
    no_receipt: "Nog geen: dat komt met de einduitkomst.", "None yet: it comes with the final outcome.";
    policy_version: "Beleidsversie", "Policy version";
    mapping_version: "Vertaalversie", "Mapping version";
    forwarded_digest: "Digest van wat is doorgestuurd", "Digest of what was forwarded";
    problems: "Wat er mis is", "What is wrong";
    place: "Plaats", "Place";
    // The queue
    replay: "Opnieuw aanbieden", "Replay";
    discard: "Laten vervallen", "Discard";
    replay_hint: "Het beleid en de ontvanger worden opnieuw bekeken; daarna gaat het als nieuw op weg.",
                 "Policy and recipient are looked at anew; then it goes on its way as if for the first time.";
    discard_hint: "Definitief: de afzender krijgt een ontvangstbewijs dat dit zegt.",
                  "For good: the sender gets a receipt that says so.";
    why: "Waarom", "Why";
    why_hint: "Komt met uw naam in het logboek. Geen persoonsgegevens.",
              "Goes into the audit log with your name. No personal data.";
    why_needed: "Zeg waarom, zonder persoonsgegevens en in hoogstens 500 tekens.",
                "Say why, without personal data and in 500 characters at most.";
    filter: "Tonen", "Show";
    queue_empty: "Er wacht niets.", "Nothing waits.";
    queue_caption: "Wat wacht, het oudste eerst", "What waits, the oldest first";
    next_page: "Volgende", "Next";
    age: "Leeftijd", "Age";
    act: "Handelen", "Act";
    // Jobs
    bulk: "Een opdracht over dit alles", "A job over all of this";
    bulk_hint: "De lijst wordt nu vastgezet, tot hoogstens 10.000 afleveringen. U ziet eerst wat er zou gebeuren; pas daarna \
                begint het. Wat intussen verandert, wordt overgeslagen.",
               "The list is frozen now, 10,000 deliveries at most. You first see what would happen; only then does it begin. \
                What changes meanwhile is passed over.";
    freeze: "Lijst vastzetten en proefdraaien", "Freeze the list and try it dry";
    rate: "Afleveringen per seconde", "Deliveries a second";
    job: "Opdracht", "Job";
    jobs_empty: "Er zijn geen opdrachten.", "There are no jobs.";
    job_start: "Beginnen", "Start";
    job_stop: "Stoppen", "Stop";
    job_by: "Gemaakt door", "Made by";
    job_progress: "Voortgang", "Progress";
    job_left: "nog te doen", "still to do";
    job_done: "gedaan", "done";
    job_changed: "overgeslagen, intussen veranderd", "passed over, changed meanwhile";
    dry_run: "Proef: wat er nu zou gebeuren", "Dry run: what would happen now";
    would: "Zou worden aangepakt", "Would be taken up";
    would_not: "Intussen veranderd", "Changed meanwhile";
    frozen: "vastgezet", "frozen";
    running: "loopt", "running";
    stopped: "gestopt", "stopped";
    finished: "klaar", "finished";
    // Audit
    when: "Wanneer", "When";
    who: "Wie", "Who";
    what: "Wat", "What";
    about: "Waarover", "About";
    a_person: "een persoon", "a person";
    audit_empty: "Er is niets gedaan.", "Nothing was done.";
    audit_caption: "Wat mensen deden, het nieuwste eerst", "What people did, the newest first";
    older: "Ouder", "Older";
    // Administration
    users_local: "Gebruikers van deze installatie", "Users of this installation";
    users_hint: "Ze worden beheerd met `ketenpoort users`; wie eruit gaat, is er meteen uit.",
                "They are managed with `ketenpoort users`; who is taken out is out at once.";
    users_none: "Er is geen lokaal bestand met gebruikers.", "There is no local file of users.";
    provider: "Identiteitsprovider", "Identity provider";
    provider_none: "Er is geen identiteitsprovider ingesteld.", "No identity provider is configured.";
    configuration: "Instellingen", "Configuration";
    setting: "Instelling", "Setting";
    value: "Waarde", "Value";
    role_table: "Wie wat mag", "Who may do what";
    // Disclosures
    disclosures_title: "Wat over iemand is verstrekt", "What was disclosed about a person";
    disclosures_hint: "Elke raadpleging komt in het logboek, met uw naam en de reden.",
                      "Each look goes into the audit log, with your name and the reason.";
    number_kind: "Soort nummer", "Kind of number";
    number: "Nummer", "Number";
    number_wrong: "Dit is geen geldig nummer van deze soort.", "This is no valid number of this kind.";
    years: "Jaren terug", "Years back";
    look_up: "Opzoeken", "Look up";
    disclosures_none: "In deze periode is via Ketenpoort niets over deze persoon verstrekt.",
                      "Nothing about this person was disclosed through Ketenpoort in this period.";
    asked_by: "op verzoek van", "asked for by";
    perhaps: "mogelijk: of het aankwam is niet bekend", "perhaps: whether it arrived is not known";
    linked: "gevonden onder een ander nummer van deze persoon", "found under another number of this person";
    what_shared: "Welke gegevens, en waarom dat mocht", "Which data, and why that was allowed";
    print_page: "De bladzijde voor de persoon zelf (Nederlands)", "The page for the person (in Dutch)";
    period: "Periode", "Period";
    another_person: "Iemand anders opzoeken", "Look up somebody else";
    // Policy
    matrix: "Wie mag welke gegevens ontvangen", "Who may receive which data";
    matrix_open: "De matrix", "The matrix";
    policy_unreadable: "Het beleid kan niet worden getoond; het logboek van de poort zegt waarom.",
                       "The policy cannot be shown; the gateway's log says why.";
    simulator: "Proberen: wat zou er gebeuren", "Simulator: what would happen";
    simulator_hint: "Niets wordt verstuurd of bewaard. Gebruik geen gegevens van echte personen.",
                    "Nothing is sent or kept. Use no data of real persons.";
    simulate: "Uitrekenen", "Work it out";
    the_message: "Het bericht (XML of JSON)", "The message (XML or JSON)";
    the_facts: "Wat IRIS weet (JSON); leeg: niet te krijgen", "What IRIS knows (JSON); empty: not to be had";
    sender: "Afzender", "Sender";
    examples: "Voorbeelden", "Examples";
    example_hint: "Vult het formulier; daarna kunt u het veranderen.", "Fills the form in; then you can change it.";
    take_example: "Nemen", "Take";
    facts_wrong: "De feiten zijn geen geldige JSON van deze vorm.", "The facts are no valid JSON of this form.";
    message_wrong: "Zo kan het bericht niet worden aangeboden.", "The message cannot be offered like this.";
    would_get: "Wat de ontvanger zou krijgen", "What the recipient would get";
    difference: "Wat er met het voorgestelde beleid verandert", "What the proposed policy changes";
    difference_none: "Er is geen voorgesteld beleid ingesteld.", "No proposed policy is configured.";
    // Assessments
    assessments_hint: "Verzoeken waarover eerst een mens moet oordelen. U ziet wat daarvoor nodig is en niet meer.",
                      "Requests that a person must judge first. You see what that takes and no more.";
    assessments_none: "Er wacht niets op een beoordeling.", "Nothing awaits an assessment.";
    assess: "Beoordelen", "Assess";
    judged: "Soort beoordeling", "Kind of assessment";
    may_go: "mag worden gedeeld", "may be shared";
    may_not_go: "niet delen", "do not share";
    valid_until: "Geldig tot en met", "Valid until";
    record: "Vastleggen", "Record";
    recorded: "Vastgelegd. Het bericht gaat verder.", "Recorded. The message goes on.";
    choose_one: "Geef voor elke categorie aan: ja of nee.", "Say yes or no for each category.";
    all_no: "Zegt u bij alle categorieën nee, dan eindigt het verzoek en krijgt de afzender dat te horen.",
            "If you say no to every category, the request ends and the sender is told so.";
    judged_elsewhere: "Deze beoordeling wordt in IRIS vastgelegd; het bericht gaat dan vanzelf verder.",
                      "This assessment is recorded in IRIS; the message then goes on by itself.";
    case_number: "Waar het oordeel op rust (dossiernummer, geen persoonsgegevens)",
                 "What the judgement rests on (file number, no personal data)";
}

impl Text {
    fn pick(self, nl: &'static str, en: &'static str) -> &'static str {
        match self.0 {
            Lang::Nl => nl,
            Lang::En => en,
        }
    }

    pub fn lang(self) -> &'static str {
        self.0.code()
    }

    pub fn wait_minutes(self, minutes: u64) -> String {
        match self.0 {
            Lang::Nl => format!("Probeer het over {minutes} minuten opnieuw."),
            Lang::En => format!("Try again in {minutes} minutes."),
        }
    }

    pub fn outcome(self, outcome: Outcome) -> &'static str {
        match outcome {
            Outcome::Delivered => self.pick("afgeleverd", "delivered"),
            Outcome::Refused => self.pick("geweigerd", "refused"),
            Outcome::Rejected => self.pick("afgekeurd", "rejected"),
            Outcome::Superseded => self.pick("achterhaald", "superseded"),
            Outcome::Expired => self.pick("vervallen", "expired"),
            Outcome::Held => self.pick("aangehouden", "held"),
            Outcome::AwaitingAssessment => self.pick("wacht op beoordeling", "awaiting assessment"),
            Outcome::Retrying => self.pick("wordt opnieuw geprobeerd", "retrying"),
            Outcome::Parked => self.pick("geparkeerd", "parked"),
        }
    }

    pub fn judgement(self, kind: SoortBeoordeling) -> &'static str {
        match kind {
            SoortBeoordeling::ErnstigeBedreiging => self.pick("ernstige bedreiging", "serious threat"),
            SoortBeoordeling::Kindermishandeling => {
                self.pick("vermoeden van kindermishandeling", "suspicion of child abuse")
            }
            SoortBeoordeling::RvdkBehoefte => self.pick("wat de RvdK nodig heeft", "what the RvdK needs"),
            SoortBeoordeling::WgsNoodzaak => {
                self.pick("noodzaak voor het casusoverleg (WGS)", "necessity for the case meeting (WGS)")
            }
            SoortBeoordeling::Artikel43Lid4 => self.pick("Pbw artikel 43, vierde lid", "Pbw article 43(4)"),
            SoortBeoordeling::VrijeTekst => self.pick("vrije tekst", "free text"),
            SoortBeoordeling::FzAfstemming => self.pick("afstemming met het PMO", "alignment with the PMO"),
            SoortBeoordeling::FzMdo => self.pick("multidisciplinair overleg", "multidisciplinary meeting"),
        }
    }

    pub fn role_name(self, role: Role) -> &'static str {
        match role {
            Role::Viewer => self.pick("lezer", "viewer"),
            Role::Operator => self.pick("operator", "operator"),
            Role::Assessor => self.pick("beoordelaar", "assessor"),
            Role::PrivacyOfficer => self.pick("privacyfunctionaris", "privacy officer"),
            Role::Administrator => self.pick("beheerder", "administrator"),
        }
    }

    pub fn power(self, power: Power) -> &'static str {
        match power {
            Power::Overview => self.pick("Overzicht bekijken", "See the overview"),
            Power::Messages => self.pick("Berichten bekijken, zonder inhoud", "See messages, without content"),
            Power::Queue => self.pick("De wachtrij bekijken", "See the queue"),
            Power::Act => self.pick("Opnieuw aanbieden en laten vervallen", "Replay and discard"),
            Power::Assess => self.pick("Beoordelen", "Assess"),
            Power::Policy => self.pick("Het beleid bekijken en beproeven", "See and try the policy"),
            Power::Disclosures => {
                self.pick("Zien wat over iemand is verstrekt", "See what was disclosed about a person")
            }
            Power::Audit => self.pick("Het logboek bekijken", "See the audit log"),
            Power::Users => self.pick("Gebruikers en instellingen bekijken", "See users and configuration"),
        }
    }

    /// What somebody did, as the audit log has it.
    pub fn action(self, what: &str) -> &str {
        match what {
            "replay" => self.pick("opnieuw aangeboden", "replayed"),
            "discard" => self.pick("laten vervallen", "discarded"),
            "subject" => self.pick("inzage", "looked up disclosures"),
            "login" => self.pick("aangemeld", "logged in"),
            "logout" => self.pick("afgemeld", "logged out"),
            "job_make" => self.pick("opdracht vastgezet", "froze a job"),
            "job_start" => self.pick("opdracht begonnen", "started a job"),
            "job_stop" => self.pick("opdracht gestopt", "stopped a job"),
            "assessment" => self.pick("beoordeling vastgelegd", "recorded an assessment"),
            "simulate" => self.pick("beleid beproefd", "tried the policy"),
            "processing-activities" => self.pick("verwerkingen geraadpleegd", "read the log of processings"),
            "authorization-decisions" => self.pick("besluiten geraadpleegd", "read the log of decisions"),
            "evaluate" => self.pick("beleid gevraagd", "asked the policy"),
            other => other,
        }
    }

    /// Title and hint of an error.
    pub fn code(self, code: Code) -> (&'static str, &'static str) {
        let english = (code.title(), code.hint());
        if self.0 == Lang::En {
            return english;
        }
        match code {
            Code::NotAllowed => {
                ("Uw rol staat dit niet toe", "Vraag wie de console beheert om de rol die hiervoor nodig is.")
            }
            Code::FormInvalid => (
                "Het formulier geldt niet meer",
                "Open de bladzijde opnieuw en verstuur het nog eens. De console neemt alleen formulieren van haar eigen bladzijden aan.",
            ),
            Code::LoginLimited => ("Te veel pogingen om aan te melden", "Wacht even en probeer het dan opnieuw."),
            Code::LoginRefused => (
                "Naam of wachtwoord klopt niet",
                "Probeer het opnieuw. Wachtwoord kwijt? Vraag wie de console beheert.",
            ),
            Code::ProviderFailed => (
                "De identiteitsprovider gaf geen goed antwoord",
                "Controleer [console.oidc] en of de poort de provider bereikt; het logboek van de poort zegt wat er mis was.",
            ),
            Code::ChangedMeanwhile => {
                ("Iemand of iets was u voor", "Kijk nog eens: het is niet meer zoals het op de bladzijde stond.")
            }
            Code::NotFound => ("Het is er niet", "Controleer het nummer. Wat over zijn termijn is, wordt vergeten."),
            Code::NoRole => (
                "U hebt hier geen rol",
                "Vraag wie de identiteitsprovider beheert om een van de groepen in [console.oidc.roles].",
            ),
            Code::LedgerUnavailable => (
                "Het grootboek is niet te bereiken",
                "Er wordt niets aangenomen of verstuurd tot dat weer kan. Controleer schijfruimte en rechten.",
            ),
            Code::TooLarge => ("Te groot", "Verstuur minder tegelijk."),
            Code::AttemptsExhausted => ("Na de laatste poging opgegeven", english.1),
            Code::RecipientRefused => ("De ontvanger weigert het bericht definitief", english.1),
            Code::RecipientBusy => ("De ontvanger neemt nu niets aan, of niet meer", english.1),
            Code::DeliveryFailed => ("De ontvanger nam het bericht niet aan", english.1),
            Code::WaitedTooLong => ("De ontvanger nam te lang niets aan", english.1),
            Code::Unroutable => ("De wachtrij van de ontvanger bestaat niet", english.1),
            Code::NotAddressable => ("De ontvanger is niet aangesloten", english.1),
            Code::AssessmentNeeded => ("Eerst moet een mens oordelen", english.1),
            Code::Held => ("Te vroeg: aangehouden tot het mag", english.1),
            Code::NoGround => ("Geen grondslag staat delen toe", english.1),
            Code::Forbidden => ("Een regel verbiedt delen", english.1),
            Code::NothingToShare => ("Er blijft niets te delen over", english.1),
            Code::Superseded => ("Een nieuwere melding is verwerkt", english.1),
            Code::FactsUnavailable => ("De feiten waren niet te krijgen", english.1),
            Code::FactsInvalid => ("De bron van feiten gaf een ongeldig antwoord", english.1),
            Code::Discarded => ("Door een mens laten vervallen", english.1),
            Code::MappingFailed => ("Het bericht kon niet worden vertaald", english.1),
            Code::BrokerUnavailable => ("De broker is niet te bereiken", english.1),
            Code::PayloadUnreadable => ("De bewaarde inhoud kan niet worden geopend", english.1),
            Code::Recorded => ("Bewaard als feit", english.1),
            Code::Split => ("Een lijst, gesplitst in eigen berichten", english.1),
            _ => english,
        }
    }
}
