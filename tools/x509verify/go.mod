module ios-mdm/tools/x509verify

go 1.24

tool ios-mdm/tools/x509verify
