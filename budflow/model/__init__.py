"""The words of BudFlow as frozen data; nothing here does input or output."""
