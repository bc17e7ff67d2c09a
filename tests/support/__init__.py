"""What tests share: certificates, servers, and AWS in memory."""
