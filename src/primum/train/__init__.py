"""Training: pretrain, SFT, reference log-probabilities and DPO."""
