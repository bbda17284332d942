use super::*;

fn hex(text: &str) -> Hash {
    let mut hash = [0; 32];
    for (byte, digits) in hash.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap();
    }
    hash
}

fn leaf(number: u64) -> Hash {
    leaf_hash(&number.to_be_bytes())
}

/// The definition itself (2.1.1), which is too slow for anything else.
fn root_of(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => empty_root(),
        [one] => *one,
        more => {
            let (left, right) = more.split_at(usize::try_from(split(more.len() as u64)).unwrap());
            node_hash(&root_of(left), &root_of(right))
        }
    }
}

/// A tree with all its tiles.
fn grown(size: u64) -> (Edge, Tiles) {
    let (mut edge, mut tiles) = (Edge::default(), Tiles::new());
    for number in 0..size {
        tiles.extend(edge.push(leaf(number)).into_iter().map(|tile| (tile.place, tile.hashes)));
    }
    tiles.extend(edge.tiles().into_iter().map(|tile| (tile.place, tile.hashes)));
    (edge, tiles)
}

/// Its root at each size.
fn roots(size: u64) -> Vec<Hash> {
    let mut edge = Edge::default();
    let grow = |number| {
        edge.push(leaf(number));
        edge.root()
    };
    std::iter::once(empty_root()).chain((0..size).map(grow)).collect()
}

/// Those that every implementation of Certificate Transparency is tried with.
#[test]
fn the_known_tree_has_the_known_roots() {
    let leaves: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    let roots = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let mut edge = Edge::default();
    assert_eq!(edge.root(), hex(roots[0]));
    for (leaf, root) in leaves.into_iter().zip(&roots[1..]) {
        edge.push(leaf_hash(leaf));
        assert_eq!(edge.root(), hex(root), "{}", edge.size());
    }
}

#[test]
fn the_edge_has_the_root_that_the_definition_gives_at_every_size() {
    let leaves: Vec<Hash> = (0..600).map(leaf).collect();
    for (size, root) in roots(600).iter().enumerate().filter(|(size, _)| *size < 70 || size % 7 == 4) {
        assert_eq!(*root, root_of(&leaves[..size]), "{size}");
    }
}

#[test]
fn a_tree_of_many_levels_goes_on_from_its_tiles() {
    for size in [0, 1, 255, 256, 257, 65_535, 65_536, 65_900] {
        let (mut edge, tiles) = grown(size);
        let mut again = Edge::from_tiles(size, &tiles).unwrap();
        assert_eq!(again, edge, "{size}");
        let wanted: Vec<Place> = edge.tiles().iter().map(|tile| tile.place).collect();
        assert_eq!(Edge::places(size), wanted, "{size}");
        for number in size..size + 300 {
            assert_eq!(edge.push(leaf(number)), again.push(leaf(number)));
        }
        assert_eq!(edge.root(), again.root());
    }
    assert_eq!(Edge::from_tiles(3, &Tiles::new()), None);
}

#[test]
fn every_leaf_is_proved_to_be_in_every_tree_and_nothing_else_is() {
    let ((_, tiles), roots) = (grown(600), roots(600));
    for size in (1..40).chain(250..262).chain([511, 512, 513, 600]) {
        for position in (0..size).filter(|position| size < 300 || position % 37 == 0 || position + 3 > size) {
            let plan = Plan::inclusion(position, size).unwrap();
            let mut path = plan.path(&tiles).unwrap();
            let root = Some(roots[usize::try_from(size).unwrap()]);
            assert_eq!(root_from_inclusion(leaf(position), position, size, &path), root, "{position} of {size}");
            assert_ne!(root_from_inclusion(leaf(position + 1), position, size, &path), root);
            assert_ne!(root_from_inclusion(leaf(position), (position + 1) % (size + 1), size, &path), root);
            assert_ne!(
                root_from_inclusion(leaf(position), position, size, &[path.as_slice(), &[[0; 32]]].concat()),
                root
            );
            if let Some(last) = path.pop() {
                assert_ne!(root_from_inclusion(leaf(position), position, size, &path), root);
                path.push(last);
                path[0][7] ^= 1;
                assert_ne!(root_from_inclusion(leaf(position), position, size, &path), root);
            }
        }
    }
    assert_eq!(Plan::inclusion(7, 7), None);
}

#[test]
fn every_tree_is_proved_to_continue_every_smaller_one_and_no_other() {
    let ((_, tiles), roots) = (grown(600), roots(600));
    let root = |size: u64| (size, roots[usize::try_from(size).unwrap()]);
    for to in (1..40).chain(255..259).chain([512, 600]) {
        for from in (1..=to).filter(|from| to < 300 || from % 31 == 0) {
            let mut path = Plan::consistency(from, to).unwrap().path(&tiles).unwrap();
            assert!(is_consistent(root(from), root(to), &path), "{from} to {to}");
            let (mut forked, mut rewritten) = (root(to), root(from));
            forked.1[0] ^= 1;
            rewritten.1[31] ^= 1;
            assert!(!is_consistent(root(from), forked, &path), "{from} to {to}");
            assert!(!is_consistent(rewritten, root(to), &path), "{from} to {to}");
            if let Some(hash) = path.first_mut() {
                hash[3] ^= 1;
                assert!(!is_consistent(root(from), root(to), &path), "{from} to {to}");
            }
        }
    }
    assert_eq!((Plan::consistency(0, 5), Plan::consistency(6, 5)), (None, None));
}
