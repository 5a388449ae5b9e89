//! `./data`: what a development server makes for itself and keeps. Production refuses all of it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use authly_core::model::ClientSecret;

use crate::host::OsEntropy;

/// Where a development server keeps what it makes.
pub const DATA_DIRECTORY: &str = "./data";

/// Secrets that a development server made for itself.
pub struct DevelopmentSecrets {
    /// In place of `JWT_SECRET_KEY`.
    pub jwt_secret_key: Option<String>,
    /// In place of `JWT_REFRESH_SECRET_KEY`.
    pub jwt_refresh_secret_key: Option<String>,
}

/// Makes a directory that nobody else can read.
pub fn private_directory(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Reads a secret, or makes and keeps one that nobody else can read. Of two processes that start at once, both use
/// the one that was written first.
fn kept_secret(name: &str) -> io::Result<String> {
    let directory = PathBuf::from(DATA_DIRECTORY);
    let path = directory.join(name);
    match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        other => return other,
    }
    private_directory(&directory)?;
    // 256 bits with the form of our other secrets.
    let secret = ClientSecret::generate(&OsEntropy).expose().trim_start_matches(ClientSecret::PREFIX).to_owned();
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(&path) {
        Ok(mut file) => {
            io::Write::write_all(&mut file, secret.as_bytes())?;
            file.sync_all()?;
            Ok(secret)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => fs::read_to_string(&path),
        Err(error) => Err(error),
    }
}

/// Secrets for what is not set.
pub fn development_secrets(get: &dyn Fn(&str) -> Option<String>) -> io::Result<DevelopmentSecrets> {
    let secret = |variable: &str, file: &str| match get(variable) {
        Some(_) => Ok(None),
        None => kept_secret(file).map(Some),
    };
    Ok(DevelopmentSecrets {
        jwt_secret_key: secret("JWT_SECRET_KEY", "jwt_secret_key")?,
        jwt_refresh_secret_key: secret("JWT_REFRESH_SECRET_KEY", "jwt_refresh_secret_key")?,
    })
}
