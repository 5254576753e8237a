//! DynamoDB: profiles, keys, campaigns, the register of processes, epochs.
