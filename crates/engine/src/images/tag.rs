//! Acts: gives an image another name.

use super::Images;
use naru_errdefs::Fault;
use naru_oci::Reference;

impl Images {
    /// Gives it another name (`repository[:tag]`), taking the name from whichever image has it.
    pub async fn tag(&self, name: &str, target: &str) -> Result<(), Fault> {
        let reference = target.parse::<Reference>()?;
        if reference.digest().is_some() {
            return Err(Fault::invalid("refusing to create a tag with a digest reference")
                .with_hint("write `repository:tag`"));
        }
        let reference = reference.or_latest();
        let shown = reference.familiar();
        self.refresh(name).await?;
        let name = name.to_owned();
        let id = self
            .blocking(move |store| {
                let image = store.images.resolve(&name)?;
                store.images.tag(&reference, &image.id())?;
                Ok(image.id())
            })
            .await?;
        self.tell("tag", &id.to_string(), &shown);
        Ok(())
    }
}
