"""Sources: where text comes from. One file for each family; `source` has the contract, `sapwood.text.readers` reads them."""
