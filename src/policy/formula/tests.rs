use super::*;

fn formula(head: &str, conditions: &str) -> Result<Formula, FormulaError> {
    Formula::of(&format!("permit ({head}) {conditions};").parse().unwrap())
}

#[test]
fn a_policy_is_its_scope_and_conditions_with_not_at_the_leaves_only() {
    let table = [
        ("true", "true"),
        ("!true", "false"),
        ("context.a && (context.b && !context.c)", "context.a && context.b && !context.c"),
        ("!(context.a && context.b)", "(!context.a || !context.b)"),
        ("!(context.a || !context.b)", "!context.a && context.b"),
        ("context.a || context.b && context.c", "(context.a || (context.b && context.c))"),
        ("context.a != \"x\"", "context.a != \"x\""),
        ("!(context.a != \"x\")", "context.a == \"x\""),
        ("[\"x\", \"y\"].contains(context.a)", "(context.a == \"x\" || context.a == \"y\")"),
        ("![\"x\", \"y\"].contains(context.a)", "context.a != \"x\" && context.a != \"y\""),
        ("[].contains(context.a)", "false"),
        ("resource in [C::\"x\", C::\"y\"]", "(resource in C::\"x\" || resource in C::\"y\")"),
        ("!(resource in context.a)", "!(resource in context.a)"),
        ("!context.a.contains(\"x\")", "!context.a.contains(\"x\")"),
        ("context.a.containsAny([\"x\", \"y\"])", "(context.a.contains(\"x\") || context.a.contains(\"y\"))"),
        ("context.a.containsAll([\"x\", \"y\"])", "context.a.contains(\"x\") && context.a.contains(\"y\")"),
        ("context.a.containsAny(context.b)", "context.a.containsAny(context.b)"),
        ("context has a && context.a > 3", "context has a && !(context.a <= 3)"),
        ("if context.a then context.b else context.c", "((context.a && context.b) || (!context.a && context.c))"),
        ("!(if context.a then context.b else context.c)", "((context.a && !context.b) || (!context.a && !context.c))"),
    ];
    for (conditions, expected) in table {
        let apart = formula("principal, action, resource", &format!("when {{ {conditions} }}")).unwrap();
        assert_eq!(apart.to_string(), expected, "{conditions}");
        assert_eq!(apart.negated().negated(), apart);
    }
    let scoped = formula("principal == R::\"r\", action == Action::\"verstrekken\", resource in C::\"c\"", "").unwrap();
    assert_eq!(scoped.to_string(), "principal == R::\"r\" && resource in C::\"c\"");
    let never = formula("principal, action == Action::\"other\", resource", "").unwrap();
    assert_eq!(never.to_string(), "false");
    assert!(formula("principal is R, action, resource", "").is_err());
}

#[test]
fn each_part_can_be_left_out_or_another_put_in_its_place() {
    let whole = formula("principal, action, resource", "when { context.a && (context.b || context.c) }").unwrap();
    let parts: Vec<_> = whole.parts().into_iter().map(Formula::to_string).collect();
    assert_eq!(
        parts,
        ["context.a && (context.b || context.c)", "context.a", "context.b || context.c", "context.b", "context.c"]
    );
    let without: Vec<_> = (0..5).map(|part| whole.with_part(part, None).to_string()).collect();
    assert_eq!(
        without,
        ["false", "(context.b || context.c)", "context.a", "context.a && context.c", "context.a && context.b"]
    );
    let turned = whole.with_part(3, Some(whole.parts()[3].negated()));
    assert_eq!(turned.to_string(), "context.a && (!context.b || context.c)");
}
