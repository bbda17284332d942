use super::*;

const REST: Duration = Duration::from_secs(10);
const DOWN: Health = Health::Down { asked: None };

fn number(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).unwrap()
}

fn gates() -> Gates {
    let (failures, drain_rate) = (NonZeroU32::new(2).unwrap(), NonZeroU32::new(40).unwrap());
    Gates::new(Options { failures, rest: REST, at_once: number(3), drain_rate })
}

fn gate() -> Arc<Gate> {
    gates().gate(&PartyId::new("gemeente:0599"))
}

/// Down since two failures, with something that waits.
fn down(now: Instant) -> Arc<Gate> {
    let gate = gate();
    let passes: Vec<Pass> = (0..2).map(|_| gate.enter(number(3), now).unwrap()).collect();
    let standings: Vec<Standing> = passes.into_iter().map(|pass| pass.settle(DOWN, now)).collect();
    assert_eq!(standings[0], Standing { change: Change::None, is_down: false });
    assert_eq!(standings[1], Standing { change: Change::Opened, is_down: true });
    gate.waits();
    gate
}

fn probe(gate: &Arc<Gate>, now: Instant) -> Pass {
    let mut draw = gate.draw(100, now);
    assert_eq!(draw.passes.len(), 1, "one probe");
    draw.passes.remove(0)
}

#[test]
fn a_slow_recipient_has_only_so_many_on_their_way_and_another_has_its_own() {
    let (gates, now) = (gates(), Instant::now());
    let (slow, other) = (PartyId::new("gemeente:0599"), PartyId::new("gemeente:0505"));
    let held: Vec<Pass> = (0..3).map(|_| gates.gate(&slow).enter(number(3), now).unwrap()).collect();
    assert!(gates.gate(&slow).enter(number(3), now).is_none());
    assert!(gates.gate(&other).enter(number(3), now).is_some());
    drop(held);
    assert!(gates.gate(&slow).enter(number(3), now).is_some());
}

#[test]
fn what_comes_goes_behind_what_waits_until_that_is_empty() {
    let (gate, now) = (gate(), Instant::now());
    gate.waits();
    assert!(gate.enter(number(3), now).is_none());
    let draw = gate.draw(100, now);
    assert_eq!(draw.passes.len(), 3, "nothing failed: only the room counts");
    gate.waits();
    gate.emptied(&draw);
    assert!(gate.enter(number(3), now).is_none(), "something came since");
    drop(draw);
    let draw = gate.draw(100, now);
    gate.emptied(&draw);
    drop(draw);
    assert!(gate.enter(number(3), now).is_some());
}

#[test]
fn nothing_goes_to_one_that_is_down_but_one_probe_after_each_rest() {
    let now = Instant::now();
    let gate = down(now);
    let before = now + REST - Duration::from_millis(1);
    assert!(gate.enter(number(3), before).is_none() && gate.draw(100, before).passes.is_empty());
    for rest in 1..20 {
        let later = now + REST * rest;
        let sent = probe(&gate, later);
        assert!(gate.draw(100, later).passes.is_empty(), "one, not two");
        assert!(sent.settle(DOWN, later).is_down);
        assert_eq!(gate.draw(100, later).skip, rest % PROBED, "the next probe is with another one");
    }
}

#[test]
fn one_that_is_back_gets_what_waited_at_a_rising_pace_and_then_what_comes() {
    let now = Instant::now();
    let gate = down(now);
    let back = now + REST;
    let standing = probe(&gate, back).settle(Health::Up, back);
    assert_eq!(standing, Standing { change: Change::Closed, is_down: false });
    assert!(gate.enter(number(3), back).is_none(), "first what waits");
    let mut gone = Vec::new();
    for second in 0..3 {
        let looks = (0..100).map(|look| back + Duration::from_millis(second * 1000 + look * 10));
        gone.push(looks.map(|now| gate.draw(100, now).passes.len()).sum::<usize>());
    }
    assert!(gone[0].abs_diff(10) <= 1 && gone[1].abs_diff(20) <= 1 && gone[2].abs_diff(40) <= 1, "{gone:?}");
    let then = back + Duration::from_secs(4);
    let draw = gate.draw(100, then);
    gate.emptied(&draw);
    drop(draw);
    let direct: Vec<_> = (0..200).map(|_| gate.enter(number(200), then)).collect();
    assert!(direct.iter().all(Option::is_some), "no pace once nothing is left");
}

#[test]
fn one_that_asks_to_be_left_alone_is_at_once() {
    let (gate, now) = (gate(), Instant::now());
    let minute = Duration::from_secs(60);
    let asks = Health::Down { asked: Some(minute) };
    assert!(gate.enter(number(3), now).unwrap().settle(asks, now).is_down);
    assert!(gate.enter(number(3), now + minute - Duration::from_millis(1)).is_none());
    assert!(gate.enter(number(3), now + minute).is_some());
}

#[test]
fn that_our_broker_is_gone_opens_nothing_but_is_no_proof_that_it_is_back() {
    let (gate, now) = (gate(), Instant::now());
    for _ in 0..10 {
        assert!(!gate.enter(number(3), now).unwrap().settle(Health::Unknown, now).is_down);
    }
    let gate = down(now);
    let later = now + REST;
    assert!(probe(&gate, later).settle(Health::Unknown, later).is_down);
    assert!(gate.draw(100, later).passes.is_empty(), "not at once again");
}

#[test]
fn a_probe_that_came_to_nothing_is_followed_by_another() {
    let now = Instant::now();
    let gate = down(now);
    drop(probe(&gate, now + REST));
    assert!(probe(&gate, now + REST).settle(DOWN, now + REST).is_down);
}
