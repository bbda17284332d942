//! XML: what is read, written and read again is the same; of the rest a place is told, and no value.

use super::{assert_repeats_nothing, messages, text};
use ketenpoort::code::Code;
use ketenpoort::validation::schema::Schema;
use ketenpoort::validation::{Limits, xml};
use std::sync::OnceLock;

const NAMESPACE: &str = "urn:nl:ketenpoort:dji:detentie:1";
const ROOT: &str = "Invrijheidstelling";

fn schema() -> &'static Schema {
    static COMPILED: OnceLock<Schema> = OnceLock::new();
    COMPILED.get_or_init(|| {
        let text = text("schemas/dji/detentie.invrijheidstelling-aangekondigd.v1.schema.json");
        Schema::compile(&text).expect("the schema that ships is right")
    })
}

pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = messages("xml").into_iter().map(|(_, text)| text.into_bytes()).collect();
    let inside = ["<A b=\"1\" c='2'>x &#13;&#10;&#9; y<![CDATA[<&]]></A>", "<p:A xmlns:p=\"urn:p\"/>", "<A/><B/><A/>"];
    seeds.extend(inside.map(|inside| format!("<{ROOT} xmlns=\"{NAMESPACE}\">{inside}</{ROOT}>").into_bytes()));
    seeds
}

pub fn check(data: &[u8]) {
    let shape = &schema().shape;
    let read = |bytes: &[u8]| xml::parse(bytes, ROOT, NAMESPACE, shape, &Limits::default());
    let problems = match read(data) {
        Ok(document) => {
            let written = xml::write(&document, ROOT, NAMESPACE).expect("what was read can be written");
            assert_eq!(read(&written).as_ref(), Ok(&document), "written and read again it is another");
            schema().problems(&document)
        }
        Err(problem) => {
            use Code::*;
            let right = [NotXml, ForbiddenXml, TooDeep, WrongEncoding, ExtraField, WrongType].contains(&problem.code);
            assert!(right, "{problem:?}");
            vec![problem]
        }
    };
    problems.iter().for_each(|problem| assert_repeats_nothing(problem, data));
}
