"""Rewards: what a reply is worth, told by a rule. Each is a tagged block (`kind`); other distributions add kinds through `sapwood.rewards`."""
