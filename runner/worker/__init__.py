"""The process that holds one loaded model: engine and llama.cpp."""
