use super::*;

fn keys(seeds: &[u8]) -> Keys {
    let lines: Vec<String> = seeds.iter().map(|seed| STANDARD.encode([*seed; KEY])).collect();
    Keys::parse(&lines.join("\n")).unwrap()
}

#[test]
fn a_value_opens_in_its_own_place_only() {
    let keys = keys(&[1]);
    let sealed = keys.seal(b"persoonsgegeven".to_vec(), Place::Raw(7)).unwrap();
    assert_eq!(keys.open(sealed.clone(), Place::Raw(7)).unwrap(), b"persoonsgegeven");
    for place in [Place::Raw(8), Place::Body(7)] {
        assert_eq!(keys.open(sealed.clone(), place), Err(SealError::Changed));
    }
}

#[test]
fn no_flipped_bit_goes_unnoticed() {
    let keys = keys(&[1]);
    let sealed = keys.seal(b"persoonsgegeven".to_vec(), Place::Body(7)).unwrap();
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert!(keys.open(changed, Place::Body(7)).is_err(), "byte {at}");
        assert!(keys.open(sealed[..at].to_vec(), Place::Body(7)).is_err(), "cut off at {at}");
    }
}

#[test]
fn the_same_value_is_sealed_otherwise_each_time() {
    let keys = keys(&[1]);
    let seal = || keys.seal(b"persoonsgegeven".to_vec(), Place::Raw(7)).unwrap();
    assert_ne!(seal(), seal());
}

#[test]
fn the_first_key_seals_and_the_others_still_open() {
    let old = keys(&[1]);
    let sealed = old.seal(b"oud".to_vec(), Place::Raw(7)).unwrap();
    let rotated = keys(&[2, 1]);
    assert_eq!(rotated.open(sealed.clone(), Place::Raw(7)).unwrap(), b"oud");
    let new = rotated.seal(b"nieuw".to_vec(), Place::Raw(7)).unwrap();
    let unknown = SealError::UnknownKey(rotated.current_id().unwrap());
    assert_eq!(old.open(new, Place::Raw(7)), Err(unknown));
    let unknown = SealError::UnknownKey(old.current_id().unwrap());
    assert_eq!(keys(&[2]).open(sealed, Place::Raw(7)), Err(unknown));
}

#[test]
fn without_a_key_nothing_is_sealed() {
    assert_eq!(Keys::default().seal(b"x".to_vec(), Place::Raw(1)), Err(SealError::NoKey));
}

#[test]
fn a_key_set_is_read_whole_or_not_at_all() {
    let good = Keys::generate().unwrap();
    let cases = [
        (String::new(), KeysError::None),
        ("# alleen een opmerking".to_owned(), KeysError::None),
        (format!("{good}\nkort"), KeysError::NotAKey(2)),
        (STANDARD.encode([1; 31]), KeysError::NotAKey(1)),
        (format!("{good} {good}"), KeysError::Twice(2)),
    ];
    for (text, expected) in cases {
        assert_eq!(Keys::parse(&text).unwrap_err(), expected, "{text}");
    }
    let printed = format!("{:?}", Keys::parse(&format!("# nu\n{good}\n")).unwrap());
    assert!(printed.len() < 24 && !printed.contains(&good), "{printed}");
}
