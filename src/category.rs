//! The closed list of data categories (gegevenscategorieën), and sets of them.

use std::fmt;

macro_rules! categories {
    ($($variant:ident = $name:literal),+ $(,)?) => {
        /// What kind of personal data a field holds; every field of a canonical schema has exactly one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Category { $($variant),+ }

        impl Category {
            pub const ALL: &'static [Category] = &[$(Category::$variant),+];

            pub fn as_str(self) -> &'static str {
                match self { $(Category::$variant => $name),+ }
            }

            pub fn parse(name: &str) -> Option<Category> {
                match name { $($name => Some(Category::$variant),)+ _ => None }
            }
        }
    };
}

categories! {
    Identificatie = "identificatie",
    Persoonsnummers = "persoonsnummers",
    Adres = "adres",
    Detentie = "detentie",
    Titel = "titel",
    Vonnis = "vonnis",
    JustitieelKader = "justitieel_kader",
    Basisvoorwaarden = "basisvoorwaarden",
    RisicoOnrust = "risico_onrust",
    RisicoVeiligheid = "risico_veiligheid",
    Risicoanalyse = "risicoanalyse",
    Zorg = "zorg",
    Kind = "kind",
    Netwerk = "netwerk",
    Slachtoffer = "slachtoffer",
    Sociaal = "sociaal",
    VrijeTekst = "vrije_tekst",
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl serde::Serialize for Category {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.as_str())
    }
}

impl<'de> serde::Deserialize<'de> for Category {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let name = <std::borrow::Cow<'de, str>>::deserialize(d)?;
        Category::parse(&name).ok_or_else(|| serde::de::Error::custom(format!("unknown category `{name}`")))
    }
}

/// A set of categories as one word.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct CategorySet(u32);

impl CategorySet {
    pub const EMPTY: CategorySet = CategorySet(0);
    pub const ALL: CategorySet = CategorySet((1 << Category::ALL.len()) - 1);

    pub fn contains(self, category: Category) -> bool {
        self.0 & (1 << category as u8) != 0
    }
    pub fn insert(&mut self, category: Category) {
        self.0 |= 1 << category as u8;
    }
    pub fn union(self, other: CategorySet) -> CategorySet {
        CategorySet(self.0 | other.0)
    }
    pub fn and(self, other: CategorySet) -> CategorySet {
        CategorySet(self.0 & other.0)
    }
    pub fn minus(self, other: CategorySet) -> CategorySet {
        CategorySet(self.0 & !other.0)
    }
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
    pub fn iter(self) -> impl Iterator<Item = Category> {
        Category::ALL.iter().copied().filter(move |&c| self.contains(c))
    }
}

impl FromIterator<Category> for CategorySet {
    fn from_iter<I: IntoIterator<Item = Category>>(iter: I) -> Self {
        let mut set = CategorySet::EMPTY;
        iter.into_iter().for_each(|c| set.insert(c));
        set
    }
}

impl fmt::Debug for CategorySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Category::as_str)).finish()
    }
}
