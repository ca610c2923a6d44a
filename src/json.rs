//! Values that the wire format cannot carry, as JSON text.

use serde::de::{DeserializeOwned, Error as _};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An argument or a result that crosses processes as JSON.
///
/// The wire format is postcard, which does not describe itself: types with `#[serde(untagged)]`,
/// `#[serde(tag = "…")]`, `#[serde(flatten)]`, `skip_serializing_if` or `deserialize_any` (such as
/// `serde_json::Value`) cannot be read back from it. Wrapped in `Json` they can, at the price of
/// text. With the feature `json`.
///
/// ```
/// use procession::Json;
///
/// #[procession::task]
/// fn keys(Json(value): Json<serde_json::Value>) -> Vec<String> {
///     let object = value.as_object().into_iter().flatten();
///     object.map(|(key, _)| key.clone()).collect()
/// }
///
/// let executor = procession::InlineExecutor::new();
/// let future = executor.submit(keys, Json(serde_json::json!({"a": 1, "b": [2]})))?;
/// assert_eq!(future.wait()?, ["a", "b"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Json<T>(pub T);

impl<T: Serialize> Serialize for Json<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = serde_json::to_string(&self.0).map_err(S::Error::custom)?;
        serializer.serialize_str(&text)
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Json<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        serde_json::from_str(&text)
            .map(Self)
            .map_err(D::Error::custom)
    }
}
