//! Settings that had other names in earlier releases: their values are taken over, and given back so that the release before can
//! read them after a return.
//!
//! This release writes a value under all its names. Names that differ therefore mean that an earlier release, which knows only
//! the former one, has changed it since: that value is the newer one.

use model::definition::SettingValues;
use model::settings::Setting;

use super::store::Layers;

/// Takes values over from former names.
pub fn take_over(values: &mut SettingValues, settings: &[Setting]) {
    for setting in settings {
        if let Some(value) = setting.was.iter().find_map(|was| values.get(was)).cloned() {
            values.insert(setting.name.clone(), value);
        }
    }
}

/// Writes values under their former names too.
pub fn give_back(values: &mut SettingValues, settings: &[Setting]) {
    for setting in settings.iter().filter(|setting| !setting.was.is_empty()) {
        if let Some(value) = values.get(&setting.name).cloned() {
            values.extend(setting.was.iter().map(|was| (was.clone(), value.clone())));
        }
    }
}

/// [`take_over`] for every source.
pub fn take_over_all(layers: &mut Layers, settings: &[Setting]) {
    each(layers, |values| take_over(values, settings));
}

/// [`give_back`] for every source.
pub fn give_back_all(layers: &mut Layers, settings: &[Setting]) {
    each(layers, |values| give_back(values, settings));
}

fn each(layers: &mut Layers, change: impl Fn(&mut SettingValues)) {
    for values in [&mut layers.hypervisor, &mut layers.seed, &mut layers.customer] {
        change(values);
    }
}

#[cfg(test)]
mod tests {
    use model::settings::Value;

    use super::*;
    use crate::testing::string;

    fn text(value: &str) -> Value {
        Value::String(value.to_owned())
    }

    #[test]
    fn a_renamed_setting_keeps_its_value_forward_and_back() {
        let older = [string("site-name", ".*")];
        let mut newer = [string("title", ".*")];
        newer[0].was = vec!["site-name".to_owned()];
        let mut layers = Layers::default();
        layers.customer.insert("site-name".to_owned(), text("Shop"));
        // The newer release starts.
        take_over_all(&mut layers, &newer);
        assert_eq!(layers.customer["title"], text("Shop"));
        // Somebody changes it there, and returns.
        layers.customer.insert("title".to_owned(), text("New shop"));
        give_back_all(&mut layers, &newer);
        take_over_all(&mut layers, &older);
        assert_eq!(layers.customer["site-name"], text("New shop"));
        // Somebody changes it in the older release, which does not know the other name, and patches again.
        layers.customer.insert("site-name".to_owned(), text("Old shop"));
        give_back_all(&mut layers, &older);
        take_over_all(&mut layers, &newer);
        assert_eq!(layers.customer["title"], text("Old shop"));
    }

    #[test]
    fn a_setting_without_former_value_stays_as_it_is() {
        let mut newer = [string("title", ".*")];
        newer[0].was = vec!["site-name".to_owned()];
        let mut layers = Layers::default();
        layers.seed.insert("title".to_owned(), text("Shop"));
        take_over_all(&mut layers, &newer);
        assert_eq!(layers.seed.len(), 1);
        assert_eq!(layers.seed["title"], text("Shop"));
    }
}
