"""primum: train, align and safety-test clinical language models, with every number traceable."""
