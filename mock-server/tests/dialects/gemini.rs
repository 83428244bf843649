//! Google Gemini.
