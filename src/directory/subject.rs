//! The subject of a certificate as the name of a broker user, where users come with certificates. A broker writes it as
//! RFC 4514 has it; of RabbitMQ it is what `ssl_cert_login_from = distinguished_name` gives.

use crate::party::Oin;

/// Of a user-id in AMQP, in bytes.
pub(super) const LONGEST: usize = 255;
/// The attribute serialNumber, by its names and by its number.
const SERIAL_NUMBER: [&str; 3] = ["serialNumber", "2.5.4.5", "OID.2.5.4.5"];

/// The OIN in its serialNumber. None where it is no subject, or has not exactly one such attribute: an OIN anywhere
/// else in it is text that its holder may have chosen.
pub(super) fn oin(user: &str) -> Option<Oin> {
    let mut numbers = attributes(user)?
        .into_iter()
        .filter(|(kind, _)| SERIAL_NUMBER.iter().any(|name| name.eq_ignore_ascii_case(kind)));
    let (Some((_, number)), None) = (numbers.next(), numbers.next()) else { return None };
    // In an OIN nothing needs to be escaped: what is, is none.
    Oin::parse(number)
}

/// Is a broker user named by the subject of a certificate? No plain name has an equals sign.
pub fn is_one(user: &str) -> bool {
    user.contains('=')
}

/// Types and values, these as they stand.
fn attributes(user: &str) -> Option<Vec<(&str, &str)>> {
    parts(user)?.into_iter().map(|part| part.split_once('=').filter(|(kind, _)| is_type(kind))).collect()
}

fn is_type(kind: &str) -> bool {
    !kind.is_empty() && kind.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'))
}

/// At each comma and plus that is not escaped. None where an escape has nothing behind it, or a quote stands open to
/// other readings.
fn parts(user: &str) -> Option<Vec<&str>> {
    let (mut found, mut start, mut escaped) = (Vec::new(), 0, false);
    for (at, c) in user.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' | ';' => return None,
            ',' | '+' => {
                found.push(&user[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    found.push(&user[start..]);
    (!escaped).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "00000099000000000363";

    #[test]
    fn the_oin_is_all_of_the_one_serial_number_and_nothing_else() {
        let named = |template: &str| oin(&template.replace("OIN", OWN)).map(|oin| oin.as_str().to_owned());
        for good in [
            "SERIALNUMBER=OIN",
            "CN=keten.amsterdam.example,SERIALNUMBER=OIN,O=Gemeente Amsterdam,C=NL",
            "CN=a+serialNumber=OIN,C=NL",
            "2.5.4.5=OIN,CN=a\\,b",
            r"CN=a\\,SERIALNUMBER=OIN",
        ] {
            assert_eq!(named(good).as_deref(), Some(OWN), "{good}");
        }
        for bad in [
            "OIN",
            "gemeente-0363",
            "",
            "CN=OIN",
            "CN=SERIALNUMBER=OIN",
            r"CN=a\,SERIALNUMBER=OIN",
            r"CN=a\+SERIALNUMBER=OIN",
            "CN=a,SERIALNUMBER=OIN,SERIALNUMBER=OIN",
            "CN=a,SERIALNUMBER=OIN,2.5.4.5=1",
            "SERIALNUMBER=OIN1",
            "SERIALNUMBER= OIN",
            "SERIALNUMBER=\\OIN",
            "XSERIALNUMBER=OIN",
            "SERIALNUMBER=OIN,amsterdam",
            "SERIALNUMBER=OIN,=x",
            "CN=\"a,SERIALNUMBER=OIN\"",
            "CN=\"a\",SERIALNUMBER=OIN",
            "SERIALNUMBER=OIN\\",
            "SERIALNUMBER=OIN;CN=a",
            "serialNumber =OIN",
        ] {
            assert_eq!(named(bad), None, "{bad}");
        }
    }
}
